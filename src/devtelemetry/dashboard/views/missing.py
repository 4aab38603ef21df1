"""The view of missing messages: which receivers lack which ones, in which pattern. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from devtelemetry import words
from devtelemetry.causes.matrix import Matrix, Other, State
from devtelemetry.dashboard.drilling import Missing as Found
from devtelemetry.dashboard.views.values import (
    Cells,
    LossyRow,
    MatrixRow,
    MatrixView,
    Missing,
    MissingRow,
)
from devtelemetry.model import LossClass, LossReason, from_unix_ms
from devtelemetry.model.links import fill


def missing_view(
    found: Found, log_link: str | None, href: str = "", messages_of: str = ""
) -> Missing:
    """log_link  a pattern of model/links.py; href: the window's page; messages_of: as in Missing"""
    document = found.document
    notes = []
    stored = document["stored"]
    if stored is not None and any(stored[name] != document[name] for name in stored):
        notes.append(
            f"When the window was computed, {words.count(stored['missing'])} of "
            f"{words.count(stored['expected'])} pairs were missing and "
            f"{words.count(stored['unknown'])} unknown. Samples or settings have changed since."
        )
    messages, receivers = document["missing_messages"], document["lossy_receivers"]
    columns = {one.message_id: number for number, one in enumerate(found.matrix.messages, 1)}
    return Missing(
        found.window,
        href,
        _matrix(found.matrix),
        [_missing_row(one, columns, _log(one, document, log_link)) for one in messages],
        [_lossy_row(one) for one in receivers],
        messages_of,
        _shown_of(len(messages), document["missing_messages_total"]),
        _shown_of(len(receivers), document["lossy_receivers_total"]),
        _by_pattern(document["patterns"]),
        notes,
    )


def _log(message: Mapping[str, Any], document: Mapping[str, Any], pattern: str | None) -> str:
    if pattern is None:
        return ""
    return fill(
        pattern,
        {
            "message_id": message["message_id"],
            "channel_id": document["channel_id"],
            "sent_at": message["sent_at_iso"],
            "sent_at_ms": str(message["sent_at"]),
        },
    )


_NAME_WIDTH = 8  # of a receiver in the matrix: the table below has full names in the same order

# Each state has a sign of its own, so that nobody needs colours. What is not missing is grey.
_SIGNS: Mapping[State, tuple[str, str]] = {
    Other.HELD: ("\N{MIDDLE DOT}", "held"),
    LossClass.NOT_ARRIVED: ("\N{MULTIPLICATION SIGN}", words.LOSS_CLASSES[LossClass.NOT_ARRIVED]),
    LossClass.UNREADABLE: ("#", words.LOSS_CLASSES[LossClass.UNREADABLE]),
    LossClass.NOT_SENT: ("!", words.LOSS_CLASSES[LossClass.NOT_SENT]),
    LossClass.DROPPED: ("-", words.LOSS_CLASSES[LossClass.DROPPED]),
    Other.UNKNOWN: ("?", "unknown: the report is missing"),
    Other.NOT_EXPECTED: ("\N{NO-BREAK SPACE}", "blank: not expected there"),
}


def _matrix(found: Matrix) -> MatrixView:
    columns = len(found.messages)
    rows = []
    for lossy, states in found.rows:
        lost = Counter(of for of in states if isinstance(of, LossClass))
        lacks = f"{words.count(lost.total())} of {words.count(columns)}"
        rows.append(
            MatrixRow(
                lossy.receiver.name[:_NAME_WIDTH],
                _on(lossy.receiver.platform, lossy.receiver.app_version),
                [_cells(of, len(list(alike))) for of, alike in groupby(states)],
                lacks,
                f"lacks {lacks}: {words.losses_of(lost) or 'none'}",
            )
        )
    seen = {of for _, states in found.rows for of in states}
    left_out = (
        (found.messages_left_out, "messages"),
        (found.receivers_left_out, "receivers"),
    )
    return MatrixView(
        columns,
        _heads(columns),
        rows,
        [(_cells(of, 1), name) for of, (_, name) in _SIGNS.items() if of in seen],
        [
            f"{words.count(number)} more {what} are not shown."
            for number, what in left_out
            if number
        ],
    )


def _cells(of: State, number: int) -> Cells:
    return Cells(of.value, _SIGNS[of][0] * number)


def _heads(columns: int) -> list[str]:
    """The columns' numbers in two lines: tens above ones."""
    numbers = range(1, columns + 1)
    tens = "".join(str(one // 10) if one % 10 == 0 else "\N{NO-BREAK SPACE}" for one in numbers)
    return [tens, "".join(str(one % 10) for one in numbers)]


def _on(platform: str, app_version: str) -> str:
    return words.visible(" ".join(filter(None, (platform, app_version)))) or words.NOT_SAID


def _missing_row(message: Mapping[str, Any], columns: Mapping[str, int], log: str) -> MissingRow:
    on = {author["platform"] for author in message["authors"] if author["platform"]}
    return MissingRow(
        columns[message["message_id"]],
        log,
        from_unix_ms(message["sent_at"]),
        message["message_id"],
        words.visible(message["message_id"]),
        words.visible(message["message_type"]) or words.NOT_SAID,
        words.visible(", ".join(sorted(on))) or words.NOT_SAID,
        f"{words.count(message['held'])} of {words.count(message['expected'])}",
        words.ways_of({via: message["ways"][via.name.lower()] for via in words.WAYS}),
        words.count(message["missing"]),
        _became(message["lacking"], message),
        _by_pattern(message["patterns"]),
    )


def _lossy_row(receiver: Mapping[str, Any]) -> LossyRow:
    longest = max(receiver["runs"], key=lambda run: run["length"], default=None)
    return LossyRow(
        receiver["receiver"],
        _on(receiver["platform"], receiver["app_version"]),
        f"{words.count(receiver['missing'])} of {words.count(receiver['expected'])}",
        _by_class(receiver),
        _by_pattern(receiver["patterns"]),
        words.count(receiver["loss_periods"]),
        words.mean(receiver["loss_period_length_mean"]),
        words.count(receiver["loss_period_length_max"]),
        None if longest is None else from_unix_ms(longest["first_sent_at"]),
        None if longest is None else from_unix_ms(longest["last_sent_at"]),
    )


def _became(lacking: Sequence[Mapping[str, Any]], counts: Mapping[str, int]) -> str:
    """`2 unreadable, 1 not sent (no_peers 1)`

    lacking  the listed receivers that lack the message, with their reasons
    """
    reasons = Counter((one["class"], one["reason"]) for one in lacking if one["reason"])
    return words.losses_of(
        {of: counts[of.value] for of in words.LOSS_CLASSES},
        (LossReason(of, reason, number) for (of, reason), number in reasons.items()),
    )


def _by_class(counts: Mapping[str, int]) -> str:
    return words.losses_of({of: counts[of.value] for of in words.LOSS_CLASSES})


def _by_pattern(patterns: Mapping[str, int]) -> str:
    return ", ".join(
        f"{words.count(count)} {words.LOSS_PATTERNS[name]}"
        for name, count in patterns.items()
        if count
    )


def _shown_of(shown: int, total: int) -> str:
    return f"The worst {shown:,} of {total:,}; /api/v1/missing has all." if shown < total else ""
