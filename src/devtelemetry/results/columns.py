"""The one list of what is computed of a window, a channel and a group.

Everything that stores, compares, reads, adds up or writes down results goes by this list. A new
figure needs a line here, a column of that name in the schema, the SQL that computes it, and a field
of that name in the class that holds the value: Counts, Spreads, Figures or WindowReliability
(model/results.py). Tests compare the schema and the classes with the list.
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
    """How the values of several windows make one. The words are those of SQL."""

    SUM = "sum"
    GREATEST = "max"


@dataclass(frozen=True, slots=True)
class Column:
    """One figure.

    name     of the column, of the field that holds the value, and in what the algorithm returns
    type     as PostgreSQL calls it
    levels   which tables have it
    adds     how the values of several windows make one; None: they do not
    json     its name in the JSON documents; None: it is not in them as it is stored
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
    "1 − missing / expected; of a window the mean of it over its comparable channels, however busy "
    "each is.",
)

# Counted for each receiver, channel and type of message; all figures are sums of these.
PAIRS = (
    _count("expected", "(message, receiver) pairs that should be there."),
    _count("missing", "Those of them that the receiver does not hold."),
    _count("corroborated", "Those of `expected` whose message another receiver holds or sent."),
    _count(
        "unknown",
        "Pairs of which nothing can be said, since the receiver's reports are missing; not in "
        "`expected`.",
    ),
    _count("unreadable", "Those of `missing` that arrived and could not be read."),
    _count("dropped", "Those of `missing` that arrived and that the app threw away."),
    _count("not_sent", "Those of `missing` whose author says that the message could not be sent."),
    _count("recovered", "Delivered pairs that were unreadable at first."),
    _count("by_live", "Delivered pairs that came live."),
    _count("by_history", "Delivered pairs that came from a history: an archive or a store."),
    _count("by_resend", "Delivered pairs that came because they were sent again."),
)

COUNTS = (
    _count("messages", "Messages sent in the window."),
    # Those of several windows are mostly the same ones.
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
    _figure("median", Level.WINDOW | Level.CHANNEL, "Of the receivers' delivery ratios."),
    _figure(
        "trimmed",
        Level.WINDOW | Level.CHANNEL,
        "Of the receivers' delivery ratios, without a tenth at either end.",
        json="trimmed_mean",
    ),
    _figure(
        "influence",
        Level.WINDOW | Level.CHANNEL,
        "How far leaving out one installation could move `reliability`, at most; or all that are "
        "behind one network, where there are many.",
    ),
)

APART = (
    Column(
        "unconfirmed",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="unconfirmed",
        meaning="Messages in no other count: one installation, or one network, alone says more of "
        "the channel's messages than is believed.",
    ),
    Column(
        "silent_members",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="silent_members",
        meaning="Receivers in no other count: they say that they are in the channel, and nothing "
        "that they ever held is confirmed by another installation.",
    ),
)

SAMPLED = (
    Column(
        "one_in",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="one_in",
        meaning="Of how many messages one was to be reported, and all counts are of these; of a "
        "window the most of its channels. 1: all messages.",
    ),
    Column(
        "estimated_messages",
        "bigint",
        Level.WINDOW | Level.CHANNEL,
        json="estimated_messages",
        meaning="How many messages were sent, estimated from those in the sample.",
    ),
)

REASONS = Column("reasons", "jsonb", Level.WINDOW | Level.CHANNEL)

# Stored of a window; a channel has them too, made of its captures when it is read.
UNSEEN = (
    _figure(
        "unseen",
        Level.WINDOW,
        "Messages that reached the network and no reporter, estimated. A loss that all share is "
        "invisible to it.",
    ),
    _figure(
        "sample_coverage",
        Level.WINDOW,
        "The share of deliveries that were of messages which some receiver reports.",
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
    """The names of the columns that the table of a level has, in their order."""
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
    """NULL where it was not kept yet when one of the windows was computed."""
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
"""Texts for statements that read, sum or write these columns: store/sql.py fills them in"""
