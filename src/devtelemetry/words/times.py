"""Durations, delays and moments as people read them. Pure."""

from datetime import UTC, datetime, timedelta

from devtelemetry.estimate.delay import Reach
from devtelemetry.model import DELAY_EDGES_MS, write_duration
from devtelemetry.words.names import NOT_KNOWN


def duration(milliseconds: int) -> str:
    """`10 min`"""
    text = write_duration(timedelta(milliseconds=milliseconds))
    number, unit = text[:-1], text[-1]
    return f"{number} {'min' if unit == 'm' else unit}"


def delay(reach: int | Reach | None) -> str:
    """A quantile of the delay: its upper bound, as `≤ 10 min`, or that it is not reached."""
    if reach is None:
        return NOT_KNOWN
    if isinstance(reach, Reach):
        return str(reach.value)
    return f"≤ {duration(reach)}"


DELAY_CLASSES = (
    NOT_KNOWN,
    "before it was sent (a clock is wrong)",
    *(f"≤ {duration(edge)}" for edge in DELAY_EDGES_MS),
    f"> {duration(DELAY_EDGES_MS[-1])}",
)
"""The names of the classes of delay, in their order"""


def utc(moment: datetime) -> str:
    """`2026-03-02 10:00 UTC`"""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def age(length: timedelta) -> str:
    """`1 h 23 min`, `3 d`: the two largest units, in whole numbers."""
    minutes = int(length.total_seconds()) // 60
    if minutes < 1:
        return "less than a minute"
    parts = ((minutes // 1440, "d"), (minutes // 60 % 24, "h"), (minutes % 60, "min"))
    first = next(number for number, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def ago(length: timedelta) -> str:
    """`3 hours`: the largest unit, in whole numbers."""
    seconds = int(length.total_seconds())
    for name, unit in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= unit:
            number = seconds // unit
            return f"{number} {name}{'' if number == 1 else 's'}"
    return "less than a minute"
