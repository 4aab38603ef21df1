"""Compares two versions where both are in use. Computed from the samples on request."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from devtelemetry import words
from devtelemetry.aggregate.algorithm import count_versions
from devtelemetry.aggregate.cleaned import cleaned_days_of, is_cleaned
from devtelemetry.aggregate.due import is_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.estimate.interval import CONFIDENCE
from devtelemetry.estimate.matched import Compared, Matched, Pairs
from devtelemetry.figures.document import iso
from devtelemetry.model import DAY, Timeframe, Window, window_at, windows_between
from devtelemetry.model.errors import ConfigurationError, unknown_version
from devtelemetry.releases.asked import Asked
from devtelemetry.releases.decide import Decided, Decision, decide
from devtelemetry.store.database import Connection, Database, Row
from devtelemetry.store.repair import repaired_snapshot
from devtelemetry.store.sql import is_text, queries

MOST_WINDOWS = 200  # in a comparison: a week of hours. Each is computed from its samples

_QUERIES = queries(__package__)


@dataclass(frozen=True, slots=True)
class Comparison:
    """span     from the first window's start to the last one's end
    windows   how many windows in it still have their samples
    found     over the strata (a window, channel and platform) that have both versions
    all_pairs_a, all_pairs_b  all deliveries of each version, in such strata or not
    """

    asked: Asked
    timeframe: Timeframe
    span: Window
    windows: int
    found: Compared
    all_pairs_a: int
    all_pairs_b: int
    decided: Decided

    @property
    def matched_a(self) -> float | None:
        """The share of the baseline's deliveries that could be compared; None: it has none"""
        return self.found.pairs_a / self.all_pairs_a if self.all_pairs_a else None

    @property
    def matched_b(self) -> float | None:
        return self.found.pairs_b / self.all_pairs_b if self.all_pairs_b else None


async def compare_releases(
    database: Database, rules: AggregateRules, asked: Asked, *, now: Callable[[], datetime]
) -> Comparison:
    """Compares the candidate with the baseline, window after window.

    Raises UnknownName if no receiver ever reported one of the versions. Raises ConfigurationError
    if the versions are the same, or there is no window to compare in, or there are too many.
    """
    if asked.baseline == asked.candidate:
        raise ConfigurationError(
            f"both versions are {asked.candidate!r}; allowed: two different ones"
        )
    timeframe = rules.timeframes[0]
    windows = _windows(timeframe, asked, now())
    async with database.read() as connection:
        await _check_versions(connection, rules, asked)
        cleaned = await cleaned_days_of(connection)
    windows = [window for window in windows if not is_cleaned(window, cleaned)]
    if not windows:
        raise ConfigurationError(
            "from, to: no window between them has samples that are still kept; allowed: a later "
            "time"
        )
    matched = Matched()
    unmatched: Counter[str] = Counter()
    for window in windows:
        async with repaired_snapshot(database, readonly=False) as connection:
            rows = await count_versions(
                connection, rules, window, (asked.baseline, asked.candidate), asked.platform
            )
        _add(matched, unmatched, rows, asked)
    found = matched.compared()
    if min(found.receivers_a, found.receivers_b) < rules.smallest_group:
        # As for any group that is so small, its losses are not shown.
        found = replace(found, ratio_a=None, ratio_b=None, difference=None)
    return Comparison(
        asked,
        timeframe,
        Window(windows[0].start, windows[-1].end),
        len(windows),
        found,
        found.pairs_a + unmatched[asked.baseline],
        found.pairs_b + unmatched[asked.candidate],
        decide(found, asked.margin),
    )


def _windows(timeframe: Timeframe, asked: Asked, now: datetime) -> Sequence[Window]:
    """The windows that are due and overlap the span. Raises ConfigurationError if there are none or
    too many."""
    due = window_at(timeframe, now - timeframe.allowed_lateness - timeframe.length)
    last = due if asked.end is None else window_at(timeframe, asked.end - timedelta(microseconds=1))
    if not is_due(timeframe, last, now):
        last = due
    start = asked.start or last.end - max(DAY, timeframe.length)
    if window_at(timeframe, start).start > last.start:
        raise ConfigurationError(
            f"from: {iso(start)} is later than the start of the last window that can be computed; "
            f"allowed: up to {iso(last.start)}"
        )
    many = (last.end - start) / timeframe.length
    if many > MOST_WINDOWS:
        raise ConfigurationError(
            f"from, to: {many:,.0f} {timeframe.name} windows are between them; allowed: up to "
            f"{MOST_WINDOWS}"
        )
    return list(windows_between(timeframe, start, last.start))


async def _check_versions(connection: Connection, rules: AggregateRules, asked: Asked) -> None:
    if not is_text(asked.platform or ""):
        raise ConfigurationError("platform: it is not Unicode text; allowed: letters, no NUL")
    named = [one for one in (asked.baseline, asked.candidate) if is_text(one)]
    rows = await connection.fetch(_QUERIES["known_versions"], versions=named)
    known = {row["app_version"]: row["receivers"] for row in rows}
    for version in (asked.baseline, asked.candidate):
        if version not in known:
            told = [one for one, receivers in known.items() if receivers >= rules.smallest_group]
            raise unknown_version(version, told)


def _add(matched: Matched, unmatched: Counter[str], rows: Iterable[Row], asked: Asked) -> None:
    strata: defaultdict[tuple[int, str], dict[str, dict[int, Pairs]]] = defaultdict(
        lambda: {asked.baseline: {}, asked.candidate: {}}
    )
    for row in rows:
        if row["receiver_id"] is None:
            unmatched[row["version"]] += row["pairs"]
        else:
            of_version = strata[row["channel_id"], row["platform"]][row["version"]]
            of_version[row["receiver_id"]] = Pairs(row["missing"], row["pairs"])
    for by_version in strata.values():
        matched.add(by_version[asked.baseline], by_version[asked.candidate])


def comparison_as_json(found: Comparison) -> dict[str, Any]:
    """Source: docs/protocol.md, "Releases as JSON"."""
    of = found.found
    return {
        "baseline": found.asked.baseline,
        "candidate": found.asked.candidate,
        "platform": found.asked.platform,
        "timeframe": found.timeframe.name,
        "from": iso(found.span.start),
        "to": iso(found.span.end),
        "windows": found.windows,
        "decision": found.decided.decision.value,
        "more_receivers": found.decided.more_receivers,
        "margin": found.asked.margin,
        "difference": of.difference and of.difference.estimate,
        "difference_interval": of.difference and [of.difference.lower, of.difference.upper],
        "confidence": CONFIDENCE,
        "strata": of.strata,
        "of_baseline": _side_as_json(
            of.ratio_a, of.receivers_a, of.pairs_a, found.all_pairs_a, found.matched_a
        ),
        "of_candidate": _side_as_json(
            of.ratio_b, of.receivers_b, of.pairs_b, found.all_pairs_b, found.matched_b
        ),
        "what": " ".join(sentences(found)),
    }


def _side_as_json(
    ratio: float | None, receivers: int, matched: int, pairs: int, matched_share: float | None
) -> dict[str, int | float | None]:
    return {
        "delivery_ratio": ratio,
        "receivers": receivers,
        "deliveries": pairs,
        "matched_deliveries": matched,
        "matched_share": matched_share,
    }


def sentences(found: Comparison) -> list[str]:
    """The verdict and its evidence, for a person."""
    return [_verdict(found), *_why(found)]


def _verdict(found: Comparison) -> str:
    baseline, candidate = (
        words.visible(one) for one in (found.asked.baseline, found.asked.candidate)
    )
    margin = f"{100 * found.asked.margin:.2f} points"
    match found.decided:
        case Decided(Decision.SHIP):
            return f"Ship {candidate}: it delivers at most {margin} less than {baseline}."
        case Decided(Decision.HOLD):
            return f"Hold {candidate}: it delivers over {margin} less than {baseline}."
        case Decided(_, None):
            return (
                f"Cannot tell whether {candidate} delivers {margin} less than {baseline}, nor how "
                "many receivers would be enough to tell."
            )
        case Decided(_, more):
            assert more is not None
            return (
                f"Cannot tell yet whether {candidate} delivers {margin} less than {baseline}: "
                f"about {words.count(more)} more receivers of both versions together are needed."
            )


def _why(found: Comparison) -> Iterable[str]:
    of = found.found
    if not of.strata:
        yield "No window, channel and platform has receivers of both versions."
        return
    if of.difference is not None:
        lower, upper = words.points(of.difference.lower), words.points(of.difference.upper)
        yield (
            f"Difference {words.points(of.difference.estimate)} points, 95 % interval {lower} to "
            f"{upper}."
        )
    else:
        yield "There are too few receivers for an interval."
    yield (
        f"Compared: {words.count(of.pairs_a)} and {words.count(of.pairs_b)} deliveries in the same "
        f"windows, channels and platforms ({words.percent(found.matched_a)} and "
        f"{words.percent(found.matched_b)} of all), to {words.count(of.receivers_a)} and "
        f"{words.count(of.receivers_b)} receivers."
    )
