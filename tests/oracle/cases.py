"""Pieces of cases that are made by hand: samples around one hour."""

from __future__ import annotations

from collections.abc import Sequence

from oracle.intake import HOUR_MS
from oracle.samples import OracleSample, Receiver
from oracle.window import OracleWindow

START = 1_772_445_600_000  # 2026-03-02 10:00 UTC
END = START + HOUR_MS
MINUTE = 60_000
IN = START + MINUTE


def sample(
    message_id: str,
    key: str,
    sent_at: int,
    created_at: int | None = -1,
    *,
    channel_id: str = "c",
    wrote: bool = False,
    message_type: str = "CHAT_MESSAGE",
) -> OracleSample:
    """A receipt that came two seconds after it was sent, unless told otherwise."""
    return OracleSample(
        message_id=message_id,
        channel_id=channel_id,
        receiver_public_key=key,
        sent_at=sent_at,
        created_at=sent_at + 2_000 if created_at == -1 else created_at,
        sent_by_receiver=wrote,
        message_type=message_type,
    )


def mark(message_id: str, key: str, channel_id: str = "c") -> OracleSample:
    """Says that this receiver wrote the message; no receipt."""
    return sample(message_id, key, 0, None, channel_id=channel_id, wrote=True)


def everywhere(*keys: str, channel_id: str = "c") -> list[OracleSample]:
    """Each of them held a message before the window and holds one after it."""
    return [
        sample(name, key, at, channel_id=channel_id)
        for key in keys
        for name, at in (("before", START - MINUTE), ("after", END + MINUTE))
    ]


def counts(window: OracleWindow, channel_id: str = "c") -> tuple[int, int, int, int, int]:
    """messages, receivers, expected, missing, corroborated"""
    c = window.channels[channel_id]
    return (c.messages, c.receivers, c.expected, c.missing, c.corroborated)


def still_there(samples: Sequence[OracleSample], at: int) -> dict[Receiver, int]:
    """A heartbeat of every receiver that ever reported."""
    return {sample.receiver: at for sample in samples}
