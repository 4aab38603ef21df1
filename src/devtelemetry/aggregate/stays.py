"""When a receiver was in a channel, by its reports of joining and leaving. Pure.

docs/algorithm.md, "Stays", defines what each report does. Times are Unix milliseconds.
"""

from collections.abc import Iterable, Mapping, Sequence
from heapq import heappop, heappush
from typing import Any

from devtelemetry.model import MembershipReport

MOST_REPORTS = 5_000
"""How many reports of a receiver in a channel count: the latest ones"""

FIRST_OF_ALL = -(2**63)
END_OF_TIME = 2**63 - 2  # one more still fits a bigint
"""The end of a stay that is not ended"""

Stay = tuple[int, int]
"""Both ends included"""


def stays_of_membership(row: Mapping[str, Any]) -> list[Stay]:
    """The stays that follow from the reports of one row, as `latest_reports` takes it."""
    if len(row["joined_at"]) == 1 and row["joined_at"][0]:
        # Nearly all rows: one report of joining, perhaps with the time of leaving.
        begin, end = row["joined_at"][0], row["left_at"][0] or END_OF_TIME
        return [(begin, end)] if begin <= end else []
    reports, had_stays = latest_reports(row)
    return stays(reports, row["first_sent_at"], had_stays=had_stays)


def latest_reports(row: Mapping[str, Any]) -> tuple[list[MembershipReport], bool]:
    """The reports of a row that has them as arrays, in order, and whether there were stays before
    them."""
    columns = (row["created_at"], row["joined_at"], row["left_at"])
    reports = [MembershipReport(*values) for values in zip(*columns, strict=True)]
    return reports[-MOST_REPORTS:], row["had_stays"] or len(reports) > MOST_REPORTS


def stays(
    reports: Iterable[MembershipReport], first_receipt: int | None, *, had_stays: bool
) -> list[Stay]:
    """The stays that follow from `reports` of one receiver and channel, ascending. No two share a
    millisecond.

    reports        ordered by (created_at, joined_at, left_at)
    first_receipt  the least sentAt of the receiver's receipts in the channel; None: it has none
    had_stays      whether there were stays before, by reports that are not kept
    """
    replay = _Replay(first_receipt, had_stays)
    for report in reports:
        replay.take(report)
    return replay.stays()


def outdated(
    reports: Sequence[MembershipReport],
    first_receipt: int | None,
    before: int,
    *,
    had_stays: bool,
) -> tuple[set[MembershipReport], bool]:
    """Which reports may go, because windows from `before` on are the same without them.

    Only reports made before `before` can go: those of stays that ended before it, those that open a
    stay within an open one, and repetitions. Also returns `had_stays` for the reports that remain.
    """
    replay = _Replay(first_receipt, had_stays)
    old = [report for report in reports if report.created_at < before]
    begin = 0  # the first report that may matter to windows from `before` on
    for number, report in enumerate(old, start=1):
        replay.take(report)
        if replay.has_ended_before(before):
            begin = number
    telling = replay.telling(old[begin:], before)
    # Without a receipt so far, one may still come and be the first.
    firsts = [first_receipt] if first_receipt is not None else [None, END_OF_TIME - 1]
    for kept in (telling, old[begin:]):
        for had_stays_of_kept in (had_stays, True):
            rest = [*kept, *reports[len(old) :]]
            if all(
                _seen_from(before, reports, first, had_stays)
                == _seen_from(before, rest, first, had_stays_of_kept)
                for first in firsts
            ):
                return set(old).difference(kept), had_stays_of_kept
    return set(), had_stays


class _Replay:
    """The stays after a number of reports."""

    def __init__(self, first_receipt: int | None, had_stays: bool) -> None:
        self._first_receipt = first_receipt
        self._had_stays = had_stays
        self._ends: dict[int, int] = {}  # of each stay: beginning → end
        self._proper = 0  # how many stays do not end before they begin
        self._open = 0  # how many stays are not ended
        self._opened: list[int] = []  # a heap: beginnings of open stays, and of some ended ones
        self._latest_end = FIRST_OF_ALL  # the latest that any stay ever had, without END_OF_TIME

    @property
    def has_stays(self) -> bool:
        return self._had_stays or self._proper > 0

    def take(self, report: MembershipReport) -> None:
        created_at, joined_at, left_at = report
        if joined_at:
            self._put(joined_at, left_at or END_OF_TIME)
        elif left_at:
            if not self.has_stays:
                first = self._first_receipt
                self._put(left_at if first is None else first, left_at)
            while self._opened and self._opened[0] < left_at:
                begin = heappop(self._opened)
                if self._ends[begin] == END_OF_TIME:
                    self._put(begin, left_at)
        elif not self.has_stays:
            first = self._first_receipt
            self._put(FIRST_OF_ALL if first is None else first, END_OF_TIME)
        elif not self._open:
            self._put(created_at, END_OF_TIME)

    def stays(self) -> list[Stay]:
        merged: list[Stay] = []
        for begin, end in sorted(self._ends.items()):
            if end < begin:
                continue
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        return merged

    def seen_from(self, before: int) -> tuple[object, ...]:
        """See `_seen_from`."""
        early = [stay for stay in self._ends.items() if stay[0] < before]
        late = [stay for stay in self._ends.items() if stay[0] >= before]
        return (
            self.has_stays,
            self._had_stays or any(begin <= end for begin, end in early),
            any(end == END_OF_TIME for _, end in early),
            max((end for _, end in early if before <= end < END_OF_TIME), default=None),
            sorted(late),
        )

    def has_ended_before(self, before: int) -> bool:
        return not self._open and self._latest_end < before

    def telling(self, old: Sequence[MembershipReport], before: int) -> list[MembershipReport]:
        """The reports of `old` that may be enough by themselves: the candidates to keep. `outdated`
        checks that the result is the same, seen from `before` on."""
        open_ones = (begin for begin, end in self._ends.items() if end == END_OF_TIME)
        first_open = min(open_ones, default=END_OF_TIME)
        latest_of = {report.joined_at: report for report in old if report.joined_at}
        telling = []
        says_is_in = False
        for report in old:
            joined_at, left_at = report.joined_at, report.left_at
            if joined_at:
                end = self._ends[joined_at]
                is_within = end == END_OF_TIME and first_open < joined_at < before
                if end >= before and not is_within and report is latest_of[joined_at]:
                    telling.append(report)
            elif left_at >= before or (not left_at and not says_is_in):
                telling.append(report)
                says_is_in = says_is_in or not left_at
        return telling

    def _put(self, begin: int, end: int) -> None:
        before = self._ends.get(begin)
        if before is not None:
            self._proper -= begin <= before
            self._open -= before == END_OF_TIME
        self._ends[begin] = end
        self._proper += begin <= end
        if end == END_OF_TIME:
            self._open += 1
            heappush(self._opened, begin)
        else:
            self._latest_end = max(self._latest_end, end)


def _seen_from(
    before: int, reports: Iterable[MembershipReport], first_receipt: int | None, had_stays: bool
) -> tuple[object, ...]:
    """What windows from `before` on, and later reports of stays, depend on.

    Of stays that began before `before`, that is whether there were any, whether one is open, and
    the latest end of the ended ones. Stays that began later matter in full.
    """
    replay = _Replay(first_receipt, had_stays)
    for report in reports:
        replay.take(report)
    return replay.seen_from(before)
