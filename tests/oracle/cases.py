"""Parts from which tests make cases by hand: samples around one hour."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from oracle.intake import HOUR_MS
from oracle.model import compute
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
    **more: Any,
) -> OracleSample:
    """A HELD sample that came two seconds after the message was sent, unless the arguments differ.

    more  further fields of OracleSample
    """
    return OracleSample(
        message_id=message_id,
        channel_id=channel_id,
        receiver_public_key=key,
        sent_at=sent_at,
        created_at=sent_at + 2_000 if created_at == -1 else created_at,
        sent_by_receiver=wrote,
        message_type=message_type,
        **more,
    )


def mark(message_id: str, key: str, channel_id: str = "c") -> OracleSample:
    """An author's mark: this receiver wrote the message. Not a receipt."""
    return sample(message_id, key, 0, None, channel_id=channel_id, wrote=True)


def everywhere(*keys: str, channel_id: str = "c") -> list[OracleSample]:
    """Each receiver holds a message of before the window and one of after it."""
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
    """A heartbeat of every receiver that has a sample."""
    return {sample.receiver: at for sample in samples}


def held(by: Mapping[str, str], channel_id: str = "c") -> list[OracleSample]:
    """Messages sent a minute apart. by: message → the keys that hold it, one letter each."""
    return [
        sample(message, key, IN + position * MINUTE, channel_id=channel_id)
        for position, (message, keys) in enumerate(by.items())
        for key in keys
    ]


def with_platform(samples: Iterable[OracleSample], **said: str) -> list[OracleSample]:
    return [replace(one, platform=said.get(one.receiver_public_key, "")) for one in samples]


# Every figure of channel c by hand:
#
#        m1  m2  m3  m4    expected  missing  corroborated
#    a   x   x   x   -     4         1        3: nobody else holds m3
#    b   x   x   -   x     4         1        4
#    c   x   -   -   x     4         2        4
#                          12        4        11
#
# and of channel d, in which receiver c is not:
#
#        m1  m2
#    a   x   x             2         0        1: nobody else holds m2
#    b   x   -             2         1        2
#                          4         1        3
IN_C = {"m1": "abc", "m2": "ab", "m3": "a", "m4": "bc"}
IN_D = {"m1": "ab", "m2": "a"}
WORKED = [
    *everywhere("a", "b", "c"),
    *everywhere("a", "b", channel_id="d"),
    *held(IN_C),
    *held(IN_D, "d"),
]


def worked(smallest_group: int = 1) -> OracleWindow:
    said = with_platform(WORKED, a="ios", b="android")
    return compute(said, START, END, "present", smallest_group=smallest_group)
