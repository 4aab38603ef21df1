"""The words that people see, the same in the terminal and on pages. Pure.

numbers  ratios, counts, intervals, differences
times    durations, delays, moments
losses   what became of what is missing
apart    what is not counted, what could not be computed, and why
sides    on whose side messages are lost
names    names of things, and what stands where there is no figure
texts    what clients sent
tables   tables of a terminal; imported by itself, since it needs rich
"""

from devtelemetry.words.apart import apart, failed, sampled
from devtelemetry.words.losses import LOSS_CLASSES, WAYS, losses, losses_of, ways, ways_of
from devtelemetry.words.names import (
    DIMENSIONS,
    GROUP_OTHER,
    LOSS_PATTERNS,
    LOSSY_RECEIVERS,
    MISSING_MESSAGES,
    NO_GROUPS,
    NO_REPORTERS,
    NO_TABLE,
    NOT_COMPARABLE,
    NOT_COMPUTED,
    NOT_KNOWN,
    NOT_SAID,
    NOTHING_TO_COMPARE,
    TOO_FEW,
    group,
    verdict,
    without_ratio,
)
from devtelemetry.words.numbers import count, interval, mean, percent, points, short_count
from devtelemetry.words.sides import side
from devtelemetry.words.texts import escaped, shorten, visible
from devtelemetry.words.times import DELAY_CLASSES, age, ago, delay, duration, utc

__all__ = [
    "DELAY_CLASSES",
    "DIMENSIONS",
    "GROUP_OTHER",
    "LOSSY_RECEIVERS",
    "LOSS_CLASSES",
    "LOSS_PATTERNS",
    "MISSING_MESSAGES",
    "NOTHING_TO_COMPARE",
    "NOT_COMPARABLE",
    "NOT_COMPUTED",
    "NOT_KNOWN",
    "NOT_SAID",
    "NO_GROUPS",
    "NO_REPORTERS",
    "NO_TABLE",
    "TOO_FEW",
    "WAYS",
    "age",
    "ago",
    "apart",
    "count",
    "delay",
    "duration",
    "escaped",
    "failed",
    "group",
    "interval",
    "losses",
    "losses_of",
    "mean",
    "percent",
    "points",
    "sampled",
    "short_count",
    "shorten",
    "side",
    "utc",
    "verdict",
    "visible",
    "ways",
    "ways_of",
    "without_ratio",
]
