"""How things are written for people, the same in the terminal and on pages. Pure.

numbers  ratios, counts, intervals, differences
times    durations, delays, moments
losses   classes and reasons of losses, and the ways of deliveries
apart    what is not counted, and what could not be computed
sides    the side where messages are lost
names    names of things, and texts in place of a figure
texts    texts that clients sent
tables   tables in a terminal; import it by itself, because it needs rich
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
