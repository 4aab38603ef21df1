"""The one list of all figures of a window, a channel and a group.

All code that stores, compares, reads, sums or writes out figures uses this list. A new figure needs
a line here, a column of that name in the schema, the SQL that computes it, and a field of that name
in the class that has the value: Counts, Spreads, Figures or WindowReliability (model/results.py).
Tests compare the schema and the classes with the list.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, Flag, auto


class Level(Flag):
    """Which tables have a column."""

    WINDOW = auto()  # reliability_window
    CHANNEL = auto()  # reliability_channel
    GROUP = auto()  # reliability_group
    ALL = WINDOW | CHANNEL | GROUP


class Adds(Enum):
    """How the values of several windows are combined. The words are those of SQL."""

    SUM = "sum"
    GREATEST = "max"


@dataclass(frozen=True, slots=True)
class Column:
    """One figure.

    name     of the column, of the field that has the value, and in the rows of the algorithm
    type     PostgreSQL's name of the type
    levels   which tables have it
    adds     how the values of several windows are combined; None: they are not
    json     its name in the JSON documents; None: they do not have it as it is stored
    meaning  a sentence for the documentation of the API
    """

    name: str
    type: str
    levels: Level
    adds: Adds | None = None
    json: str | None = None
    meaning: str = ""


def _count(name: str, meaning: str, adds: Adds = Adds.SUM) -> Column:
    return Column(name, "bigint", Level.ALL, adds, name, meaning)


def _figure(name: str, levels: Level, meaning: str, *, json: str | None = None) -> Column:
    return Column(name, "double precision", levels, None, json or name, meaning)


RELIABILITY = _figure(
    "reliability",
    Level.WINDOW,
    "1 − missing / expected. For a window, the mean over its comparable channels, in which a quiet "
    "channel weighs as much as a busy one.",
)

# Counted for each receiver, channel and type of message. All figures are sums of these counts.
PAIRS = (
    _count("expected", "Pairs of a message and a receiver that should hold it, and can be judged."),
    _count("missing", "Expected pairs whose message the receiver does not hold."),
    _count("corroborated", "Expected pairs whose message another receiver holds or wrote."),
    _count(
        "unknown",
        "Pairs that cannot be judged, because the receiver's reports are missing; not in "
        "`expected`.",
    ),
    _count("unreadable", "Missing pairs whose message arrived and could not be read."),
    _count("dropped", "Missing pairs whose message arrived, and the app threw it away."),
    _count("not_sent", "Missing pairs whose author's app reports that it could not send."),
    _count("recovered", "Delivered pairs that were unreadable at first."),
    _count("by_live", "Delivered pairs that came live."),
    _count("by_history", "Delivered pairs that came from a history: an archive or a store."),
    _count("by_resend", "Delivered pairs that came because they were sent again."),
)

COUNTS = (
    _count("messages", "Messages sent in the window."),
    # In several windows they are usually the same receivers, so the greatest number counts.
    _count("receivers", "Receivers that count.", Adds.GREATEST),
    *PAIRS,
)

SPREADS = (
    Column("over_channels", "numeric[]", Level.WINDOW | Level.GROUP, Adds.SUM),
    Column("over_receivers", "numeric[]", Level.WINDOW | Level.GROUP, Adds.SUM),
    Column("over_memberships", "numeric[]", Level.ALL, Adds.SUM),
)

DELAYS = (
    Column("delivery_delays", "bigint[]", Level.ALL, Adds.SUM),
    Column("report_delays", "bigint[]", Level.ALL, Adds.SUM),
)

CAPTURES = Column("captures", "bigint[]", Level.CHANNEL)

OF_RECEIVERS = (
    _figure("median", Level.WINDOW | Level.CHANNEL, "The median of the receivers' own ratios."),
    _figure(
        "trimmed",
        Level.WINDOW | Level.CHANNEL,
        "The mean of the receivers' own ratios, without a tenth at either end.",
        json="trimmed_mean",
    ),
    _figure(
        "influence",
        Level.WINDOW | Level.CHANNEL,
        "How much `reliability` could change at most if one installation, or all installations "
        "behind one network, were left out.",
    ),
)

APART = (
    Column(
        "unconfirmed",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="unconfirmed",
        meaning="Messages in no other count: only one installation, or one network, reports them, "
        "and they are too large a share of the channel.",
    ),
    Column(
        "silent_members",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="silent_members",
        meaning="Receivers in no other count, because no other installation confirms anything that "
        "theirs reports. Further receivers of an installation that hold nothing of the channel are "
        "among them.",
    ),
)

SAMPLED = (
    Column(
        "one_in",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="one_in",
        meaning="Clients report one message in this many, and all counts are about these; 1 means "
        "all messages. For a window, the greatest value of its channels.",
    ),
    Column(
        "estimated_messages",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="estimated_messages",
        meaning="How many messages were sent, estimated from the number in the sample.",
    ),
)

REASONS = Column("reasons", "jsonb", Level.WINDOW | Level.CHANNEL)

# Stored for windows. For a channel they are computed from its captures when it is read.
UNSEEN = (
    _figure(
        "unseen",
        Level.WINDOW,
        "The estimated number of messages that no reporting receiver holds. It cannot show losses "
        "that all receivers share.",
    ),
    _figure(
        "sample_coverage",
        Level.WINDOW,
        "The estimated share of deliveries whose message at least one receiver reports.",
    ),
)

COLUMNS = (
    RELIABILITY,
    *COUNTS,
    *SPREADS,
    *DELAYS,
    CAPTURES,
    *OF_RECEIVERS,
    *APART,
    *SAMPLED,
    REASONS,
    *UNSEEN,
)


def of_level(level: Level, columns: Iterable[Column] = COLUMNS) -> tuple[str, ...]:
    """The names of the columns in the table of a level, in their order."""
    return tuple(column.name for column in columns if level in column.levels)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names)


def _summed(columns: Iterable[Column]) -> str:
    return _listed(
        f"{column.adds.value}({column.name})::{column.type} as {column.name}"
        for column in columns
        if column.adds is not None
    )


def _summed_spread(name: str) -> str:
    """NULL if one of the windows was computed before the spread was kept."""
    is_kept = f"bool_and({name} is not null or corroborated = 0)"
    sums = _listed(f"sum({name}[{place}])" for place in range(1, 5))
    return f"case when {is_kept} then array[{sums}] end as {name}"


SQL = {
    "window_columns": _listed(of_level(Level.WINDOW)),
    "window_values": _listed(f"${name}" for name in of_level(Level.WINDOW)),
    "channel_columns": _listed(of_level(Level.CHANNEL)),
    "group_columns": _listed(of_level(Level.GROUP)),
    "counts": _listed(column.name for column in COUNTS),
    "summed_counts": _summed(COUNTS),
    "summed_spreads_of_channel": _listed(map(_summed_spread, of_level(Level.CHANNEL, SPREADS))),
    "pairs": _listed(column.name for column in PAIRS),
    "summed_pairs": _summed(PAIRS),
    "negative_pairs": _listed(f"-{column.name} as {column.name}" for column in PAIRS),
}
"""Texts for statements that read, sum or write these columns: store/sql.py inserts them"""
