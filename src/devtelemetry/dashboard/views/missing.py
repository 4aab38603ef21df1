"""Down to single messages: who lacks what, and in which pattern. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from devtelemetry import words
from devtelemetry.dashboard import texts
from devtelemetry.dashboard.views.values import LossyRow, Missing, MissingRow
from devtelemetry.model import LossReason, from_unix_ms


def missing_view(document: Mapping[str, Any]) -> Missing:
    """Of the document of /api/v1/missing."""
    notes = []
    stored = document["stored"]
    if stored is not None and any(stored[name] != document[name] for name in stored):
        notes.append(
            f"When the window was computed, {words.count(stored['missing'])} of "
            f"{words.count(stored['expected'])} pairs were missing and "
            f"{words.count(stored['unknown'])} unknown. Samples or settings have changed since."
        )
    messages, receivers = document["missing_messages"], document["lossy_receivers"]
    return Missing(
        [_missing_row(one) for one in messages],
        [_lossy_row(one) for one in receivers],
        _shown_of(len(messages), document["missing_messages_total"]),
        _shown_of(len(receivers), document["lossy_receivers_total"]),
        _by_pattern(document["patterns"]),
        notes,
    )


def _missing_row(message: Mapping[str, Any]) -> MissingRow:
    on = {author["platform"] for author in message["authors"] if author["platform"]}
    return MissingRow(
        from_unix_ms(message["sent_at"]),
        texts.short_identifier(message["message_id"]),
        message["message_id"],
        words.visible(message["message_type"]) or words.NOT_SAID,
        words.visible(", ".join(sorted(on))) or words.NOT_SAID,
        f"{words.count(message['held'])} of {words.count(message['expected'])}",
        words.ways_of({via: message["ways"][via.name.lower()] for via in words.WAYS}),
        words.count(message["missing"]),
        _became(message["lacking"], message),
        _by_pattern(message["patterns"]),
    )


def _lossy_row(receiver: Mapping[str, Any]) -> LossyRow:
    on = " ".join(filter(None, (receiver["platform"], receiver["app_version"])))
    longest = max(receiver["runs"], key=lambda run: run["length"], default=None)
    return LossyRow(
        receiver["receiver"],
        words.visible(on) or words.NOT_SAID,
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

    lacking  those that are listed, with their reasons
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
