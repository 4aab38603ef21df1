"""Accepts or refuses one sample. Pure: the clock is a parameter.

A client can read every limit in the refusal: the field, the value it had, and what is allowed.
"""

import re
from typing import NamedTuple

from devtelemetry.model import DAY_MS, HOUR_MS, Outcome, Reason, Sample, Source, from_unix_ms

MAX_SAMPLES_PER_REQUEST = 5_000  # the protocol's limit; at 800 bytes a sample they make 4 MiB
MAX_MEMBERSHIPS_PER_REQUEST = 5_000
MAX_LOST_PER_REQUEST = 100  # a client that loses reports loses many at once
MAX_REQUEST_BYTES = 4 * 1024 * 1024
MAX_ID_BYTES = 512
MAX_TOPICS_BYTES = 4 * 1024
MAX_LABEL_BYTES = 128  # message type, platform, app version: names, not texts
MAX_SERVER_BYTES = 255  # the longest name that a host may have

MAX_SEQUENCE = 2**53  # beyond this, the numbers of some clients are no longer exact

# As Unix ms these lie in 1973 and 5138. A smaller time is in seconds, a greater one in µs or ns.
LEAST_MILLISECONDS = 10**11
GREATEST_MILLISECONDS = 10**14
_GREATEST_MICROSECONDS = 10**17

_REASON = re.compile(r"[a-z0-9_.-]{1,64}")


class AgeLimits(NamedTuple):
    """Which sentAt are accepted.

    retention_ms   how long samples are kept; older days are dropped, at the latest by the next
                   cleaning
    clock_skew_ms  how far a sender's clock may be ahead of the server's
    """

    retention_ms: int = 7 * DAY_MS
    clock_skew_ms: int = HOUR_MS

    def oldest_day_kept(self, now_ms: int) -> int:
        """Unix ms of the midnight (UTC) at which the oldest day kept begins."""
        return (now_ms - self.retention_ms) // DAY_MS * DAY_MS


class Refusal(NamedTuple):
    reason: Reason
    detail: str


def check(sample: Sample, limits: AgeLimits, now_ms: int) -> Refusal | None:
    """Why `sample` is refused, or None.

    now_ms  Unix ms from which its age is counted: now, or for an imported sample its createdAt
    """
    (
        message_id, channel_id, public_key, sent_at, _, installation_id, _, topics, envelope_id,
        received_at, message_type, _, platform, app_version, _, outcome, _, _, _, server,
    ) = sample  # fmt: skip
    labels = f"{message_type}{platform}{app_version}{server}"
    texts = f"{message_id}{channel_id}{public_key}{installation_id}{envelope_id}{labels}"
    # This runs for each sample. Nearly always all texts together are shorter than one text may be.
    if (
        len(texts) > MAX_ID_BYTES
        or len(labels) > MAX_LABEL_BYTES
        or len(topics) > MAX_TOPICS_BYTES
        or not (message_id and channel_id and public_key)
        or type(outcome) is not Outcome
        or not texts.isascii()
        or "\0" in texts
    ):
        refusal = _check_texts(sample)
        if refusal is not None:
            return refusal
    if not LEAST_MILLISECONDS <= sent_at <= GREATEST_MILLISECONDS:
        return _not_milliseconds("sent_at", sent_at)
    # The cheap test comes first: the oldest day begins no later than the oldest moment.
    if sent_at < now_ms - limits.retention_ms and sent_at < limits.oldest_day_kept(now_ms):
        return Refusal(
            Reason.TOO_OLD,
            f"sent_at: {_iso(sent_at)} is {_span(now_ms - sent_at)} old; allowed: "
            f"{_iso(limits.oldest_day_kept(now_ms))} or later",
        )
    if sent_at > now_ms + limits.clock_skew_ms:
        return Refusal(
            Reason.IN_THE_FUTURE,
            f"sent_at: {_iso(sent_at)} is {_span(sent_at - now_ms)} ahead of the server's clock; "
            f"allowed: up to {_span(limits.clock_skew_ms)}",
        )
    if received_at and not LEAST_MILLISECONDS <= received_at <= GREATEST_MILLISECONDS:
        return _not_milliseconds("received_at", received_at)
    return None


def check_reporter(
    receiver_public_key: str,
    installation_id: str,
    platform: str = "",
    app_version: str = "",
    server: str = "",
) -> Refusal | None:
    """Why a heartbeat is refused, or None. Checks the fields of `Reporter`."""
    if not receiver_public_key:
        return _empty("receiver_public_key")
    return _check_ids(
        ("receiver_public_key", "installation_id"), (receiver_public_key, installation_id)
    ) or check_labels(("platform", "app_version", "server"), (platform, app_version, server))


def check_channel(channel_id: str) -> Refusal | None:
    """Why a membership of this channel is ignored, or None."""
    if not channel_id:
        return _empty("channel_id")
    return _check_ids(("channel_id",), (channel_id,))


def check_labels(fields: tuple[str, ...], labels: tuple[str, ...]) -> Refusal | None:
    """Why one of these labels is refused, or None."""
    joined = "".join(labels)
    if len(joined) <= MAX_LABEL_BYTES and joined.isascii():
        return None
    for field, text in zip(fields, labels, strict=True):
        limit = MAX_SERVER_BYTES if field == "server" else MAX_LABEL_BYTES
        if len(text.encode()) > limit:
            return _too_long(field, len(text.encode()), limit)
    return None


def is_reason(text: str) -> bool:
    """Whether `text` is a code, as a reason must be, and not free text."""
    return _REASON.fullmatch(text) is not None


def is_milliseconds(value: int) -> bool:
    return LEAST_MILLISECONDS <= value <= GREATEST_MILLISECONDS


def is_numbered(installation_id: str, first_sequence: int) -> bool:
    """Whether a push has valid numbers for its samples. A bad number does not cost a sample."""
    return (
        1 <= first_sequence <= MAX_SEQUENCE
        and installation_id != ""
        and _check_ids(("installation_id",), (installation_id,)) is None
    )


def _check_texts(sample: Sample) -> Refusal | None:
    if not sample.message_id or type(sample.outcome) is not Outcome:
        refusal = _check_outcome(sample)
        if refusal is not None:
            return refusal
    # status-go names no channel if it could not read the message.
    if not sample.channel_id and (sample.message_id or sample.source is not Source.STATUS_GO):
        return _empty("channel_id")
    if not sample.receiver_public_key:
        return _empty("receiver_public_key")
    if len(sample.topics) > MAX_TOPICS_BYTES:
        return _too_long("topics", len(sample.topics), MAX_TOPICS_BYTES)
    return _check_ids(
        _ID_FIELDS,
        (
            sample.message_id,
            sample.channel_id,
            sample.receiver_public_key,
            sample.installation_id,
            sample.envelope_id,
        ),
    ) or check_labels(
        _LABEL_FIELDS,
        (sample.message_type, sample.platform, sample.app_version, sample.server),
    )


def _check_outcome(sample: Sample) -> Refusal | None:
    """Why a sample without message_id, or with an unknown outcome, is refused, or None."""
    outcome = sample.outcome
    if type(outcome) is not Outcome:
        # The protocol has no reason of its own for an unknown outcome, so it counts as missing.
        allowed = ", ".join(f"{one.value} {one.name}" for one in Outcome)
        return Refusal(Reason.MISSING_FIELD, f"outcome: {outcome} is not known; allowed: {allowed}")
    if outcome is not Outcome.UNREADABLE:
        return _empty("message_id")
    if not sample.envelope_id:
        return Refusal(
            Reason.MISSING_FIELD,
            "message_id: empty, and so is envelope_id; allowed: one of them for UNREADABLE",
        )
    return None


def _check_ids(fields: tuple[str, ...], ids: tuple[str, ...]) -> Refusal | None:
    joined = "".join(ids)
    if len(joined) <= MAX_ID_BYTES and joined.isascii() and "\0" not in joined:
        return None  # nearly always: all together are shorter than one may be
    for field, text in zip(fields, ids, strict=True):
        if len(text.encode()) > MAX_ID_BYTES:
            return _too_long(field, len(text.encode()), MAX_ID_BYTES)
        if "\0" in text:
            return Refusal(
                Reason.MISSING_FIELD,
                f"{field}: holds a NUL character; allowed: text without NUL",
            )
    return None


_ID_FIELDS = ("message_id", "channel_id", "receiver_public_key", "installation_id", "envelope_id")
_LABEL_FIELDS = ("message_type", "platform", "app_version", "server")


def _empty(field: str) -> Refusal:
    return Refusal(Reason.MISSING_FIELD, f"{field}: empty; allowed: 1 to {MAX_ID_BYTES} bytes")


def _too_long(field: str, size: int, limit: int) -> Refusal:
    return Refusal(Reason.TOO_LONG, f"{field}: {size} bytes; allowed: up to {limit}")


def _not_milliseconds(field: str, value: int) -> Refusal:
    if value == 0:
        return Refusal(Reason.MISSING_FIELD, f"{field}: 0; allowed: Unix milliseconds")
    if 0 < value < LEAST_MILLISECONDS:
        guess = "looks like seconds"
    elif GREATEST_MILLISECONDS < value <= _GREATEST_MICROSECONDS:
        guess = "looks like microseconds"
    elif value > _GREATEST_MICROSECONDS:
        guess = "looks like nanoseconds"
    else:
        guess = "is negative"
    return Refusal(Reason.NOT_MILLISECONDS, f"{field}: {value} {guess}; allowed: Unix milliseconds")


def _iso(unix_ms: int) -> str:
    return from_unix_ms(unix_ms).isoformat(timespec="seconds").replace("+00:00", "Z")


def _span(milliseconds: int) -> str:
    if milliseconds >= 2 * DAY_MS:
        return f"{milliseconds / DAY_MS:.1f} d"
    if milliseconds >= 2 * HOUR_MS:
        return f"{milliseconds / HOUR_MS:.1f} h"
    return f"{milliseconds / 60_000:.0f} min"
