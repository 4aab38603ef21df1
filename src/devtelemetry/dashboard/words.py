"""Every English text of the pages, and how figures are written. Pure."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from devtelemetry.causes.classify import LossClass
from devtelemetry.estimate.delay import Reach
from devtelemetry.estimate.interval import Interval
from devtelemetry.estimate.verdict import Verdict, Word
from devtelemetry.figures.series import NOT_SAID, OTHER
from devtelemetry.model import DELAY_EDGES_MS, Dimension, MembershipPolicy, write_duration
from devtelemetry.report import report
from devtelemetry.words import texts

PRODUCT = "Dev-Telemetry"

TOO_FEW = "too few to say"
NOT_COMPARABLE = report.NOT_COMPARABLE
NOTHING_TO_COMPARE = report.NOTHING_TO_COMPARE
NO_REPORTERS = "no reporters"
NOT_COMPUTED = "not yet computed"
NO_DATABASE = "Figures are shown again as soon as it answers; this page tries by itself."

BAD_SIGN_IN = (
    "That is no valid token of scope read. `devtelemetry token create NAME --scope read` makes one."
)

TIMEFRAMES: Mapping[str, str] = {"1h": "Last hour", "1d": "Last day", "1w": "Last week"}

SPANS: Mapping[str, str] = {
    "24h": "24 hours",
    "7d": "7 days",
    "30d": "30 days",
    "90d": "90 days",
    "1y": "1 year",
}

DIMENSIONS: Mapping[Dimension, str] = {
    Dimension.PLATFORM: "Platform",
    Dimension.APP_VERSION: "App version",
    Dimension.MESSAGE_TYPE: "Message type",
}

MEMBERSHIPS: Mapping[MembershipPolicy, str] = {
    MembershipPolicy.PRESENT: "present: from a receiver's first message in a channel to its last",
    MembershipPolicy.WINDOW: "window: who held or sent a message of the window",
    MembershipPolicy.BRACKETED: "bracketed: who was there before the window and after it",
}

LOSS_CLASSES: Mapping[LossClass, str] = {
    LossClass.EVERYONE: "lost by everyone",
    LossClass.BURST: "in a burst",
    LossClass.ONE: "lost by one alone",
    LossClass.SCATTERED: "scattered",
}

TERMS: Mapping[str, str] = {
    "delivery ratio": (
        "Of the deliveries that can be judged, the share that was made: 1 − missing ÷ "
        "corroborated. It is computed of counts, never averaged over windows or channels."
    ),
    "interval": (
        "Where the true ratio lies with 95 % confidence. Losses of one receiver, and in one "
        "channel, belong together, which makes it wider. Below 10 receivers or channels nothing is "
        "said."
    ),
    "R": (
        "The mean over the channels of 1 − missing ÷ expected: a quiet channel weighs as much as a "
        "busy one."
    ),
    "expected": (
        "Pairs of a message and a receiver that should hold it: it was in the channel at that time "
        "and did not write the message."
    ),
    "missing": "Expected pairs of which no report came, though the receiver went on reporting.",
    "corroborated": (
        "Expected pairs whose message another receiver holds or sent: only of these a loss can be "
        "told."
    ),
    "unknown": (
        "Pairs of which nothing can be said: reports of the receiver are missing, and with them "
        "whether it got the message. They count neither as made nor as lost."
    ),
    "known share": (
        "Expected ÷ (expected + unknown): of how many pairs anything can be said at all. Lost "
        "reports lower it, lost messages do not."
    ),
    "sample coverage": (
        "Estimated share of deliveries that were of messages which some receiver reports. A loss "
        "that all share is invisible to it."
    ),
    "receivers": (
        "Distinct receivers (a public key on one device) with pairs that can be judged. In a "
        "channel: those that count."
    ),
    "provisional": (
        "Computed, and computed again when samples come for it. A day after its end a window is "
        "settled, and stays as it is."
    ),
    "comparable": (
        "At least two receivers count and something was expected of them. Only such channels have "
        "a ratio and take part in totals."
    ),
    "influence": (
        "How far leaving out one single receiver could move R. Beyond the limit, look at who that "
        "is before you believe a change."
    ),
    "verdict": (
        "Better or worse only if the 95 % interval of the difference leaves out 0. It does not say "
        "why: a platform may read worse because its people are in worse channels."
    ),
    "on time": (
        "The share of all that should have been delivered that was delivered within so long; what "
        "is lost is late for ever."
    ),
    "delay": (
        "From when a message was sent to when the receiver got it, by the server's clock. Within "
        "what a quantile lies is told by the upper edge of its class; “not reached” if fewer were "
        "delivered at all."
    ),
    "membership": (
        "Which receivers count in a channel, and what each is expected to hold. Each policy has "
        "figures of its own."
    ),
    "window": (
        "A stretch of event time, aligned in UTC: messages belong to it by when they were sent."
    ),
    "median": "Of the receivers' own delivery ratios: half of them fare better.",
    "trimmed mean": "Of the receivers' own delivery ratios, without a tenth at either end.",
    "unseen": (
        "Messages that reached nobody who reports, estimated from how many were seen once and "
        "twice."
    ),
    "loss classes": (
        "Lost by everyone: nobody but its author has it, so it hardly left. In a burst: in a run "
        "of messages that others got, so the receiver was probably offline. Lost by one alone: "
        "all others have it. Scattered: some have it, some not."
    ),
    "run": "Messages in a row that a receiver lacks, with none that it holds between them.",
    "other": "Groups with too few receivers to be shown, put together.",
}


percent = report.percent  # as in the terminal


def interval(found: Interval | None) -> str:
    """`91.02 – 95.10 %`; never a false precision."""
    if found is None:
        return TOO_FEW
    return f"{percent(found.lower)[:-2]} – {percent(found.upper)}"


def points(difference: float) -> str:
    """`−0.81`: percentage points, with the sign that people read."""
    sign = "−" if difference < 0 else "+"
    return f"{sign}{abs(100 * difference):.2f}"


def count(value: float) -> str:
    return f"{value:,.0f}"


def short_count(value: int) -> str:
    """Four figures at most: what a tile has room for."""
    for unit, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= unit:
            return f"{value / (1e3 if letter == 'k' else unit):,.1f}{letter}"
    return f"{value:,}"


def delay(reach: int | Reach | None) -> str:
    if reach is None:
        return "not known"
    if isinstance(reach, Reach):
        return str(reach.value)
    return f"≤ {duration(reach)}"


def duration(milliseconds: int) -> str:
    """`10 min`"""
    text = write_duration(timedelta(milliseconds=milliseconds))
    number, unit = text[:-1], text[-1]
    return f"{number} {'min' if unit == 'm' else unit}"


DELAY_CLASSES = (
    "not known",
    "before it was sent (a clock is wrong)",
    *(f"≤ {duration(edge)}" for edge in DELAY_EDGES_MS),
    f"> {duration(DELAY_EDGES_MS[-1])}",
)
"""The names of the classes of delay, in their order"""


def group(value: str | None) -> str:
    return OTHER if value is None else identifier(value) or NOT_SAID


def verdict(found: Verdict | None) -> str:
    """`worse by 0.81 points`"""
    if found is None:
        return TOO_FEW
    if found.word is Word.CANNOT_TELL:
        return Word.CANNOT_TELL.value
    return f"{found.word.value} by {abs(100 * found.difference.estimate):.2f} points"


identifier = texts.visible  # what a client sent


def short_identifier(text: str, width: int = 48) -> str:
    return texts.shorten(text, width)


def utc(moment: datetime) -> str:
    """`2026-03-02 10:00 UTC`: what stands where a browser does not know its zone."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def ago(length: timedelta) -> str:
    """`3 hours`, in whole numbers of the greatest unit."""
    seconds = int(length.total_seconds())
    for name, unit in (("day", 86_400), ("hour", 3600), ("minute", 60)):
        if seconds >= unit:
            number = seconds // unit
            return f"{number} {name}{'' if number == 1 else 's'}"
    return "less than a minute"
