"""Texts for the algorithm's SQL: what states mean, and what pairs are grouped by. Pure."""

from collections.abc import Mapping

from devtelemetry.model import PATH_ARROW, Dimension, Via
from devtelemetry.store.states import DROPPED, NOT_HELD, UNREADABLE, VIA, VIA_UNIT

TABLE = "table"
"""Takes the place of a dimension for two dimensions together; its value is a JSON array of both"""

_IS_HELD = f"state < {NOT_HELD}"
_STATES = {
    "held": _IS_HELD,
    "unreadable": f"state >= {NOT_HELD} and state & {UNREADABLE} <> 0",
    "dropped": f"state >= {NOT_HELD} and state & {UNREADABLE | DROPPED} = {DROPPED}",
    "recovered": f"{_IS_HELD} and state & {UNREADABLE} <> 0",
    "by_live": f"{_IS_HELD} and state & {VIA} = {Via.LIVE * VIA_UNIT}",
    "by_history": f"{_IS_HELD} and state & {VIA} = {Via.HISTORY * VIA_UNIT}",
    "by_resend": f"{_IS_HELD} and state & {VIA} = {Via.RESENT * VIA_UNIT}",
}
OUTCOMES = {
    "outcomes": ", ".join(
        f"coalesce(sum(n) filter (where {holds}), 0)::bigint as {name}"
        for name, holds in _STATES.items()
    )
}
"""The text `outcomes`: columns that count the pairs by outcome, from the state of their receipt"""

# A pair's value in each dimension, from its author, its receiver's class c or its message's type.
_OF_AUTHORS = {
    Dimension.AUTHOR_PLATFORM: "coalesce(author.platform, '')",
    Dimension.AUTHOR_APP_VERSION: "coalesce(author.app_version, '')",
    Dimension.PATH: (
        "case when author.server <> '' and c.server <> '' "
        f"then author.server || '{PATH_ARROW}' || c.server else '' end"
    ),
}
_OF_RECEIVERS = {
    Dimension.PLATFORM: "c.platform",
    Dimension.APP_VERSION: "c.app_version",
    Dimension.MESSAGE_TYPE: "message_type",
}
_TRAITS = {
    Dimension.PLATFORM: "platform",
    Dimension.APP_VERSION: "app_version",
    Dimension.PATH: "server",
}


def _texts(
    values: Mapping[Dimension, str] | Mapping[str, str], by: set[Dimension], *, tells_authors: bool
) -> Mapping[str, str]:
    """values  SQL of each dimension's value
    by      the dimensions that the cells must tell apart
    """
    return {
        "cell_kind": "kind" if Dimension.MESSAGE_TYPE in by else "0::integer",
        "class_key": ", ".join(trait for of, trait in _TRAITS.items() if of in by) or "true",
        "class_traits": ", ".join(
            trait if of in by else f"'' as {trait}" for of, trait in _TRAITS.items()
        ),
        "tells_authors": "true" if tells_authors else "false",
        "cluster": "null::bigint" if tells_authors else "receiver_id",
        "author_values": ", ".join(f"('{name}', {value})" for name, value in values.items()),
    }


OF_AUTHORS = _texts(_OF_AUTHORS, set(_OF_AUTHORS), tells_authors=True)
"""The texts of authors.sql for the stored figures"""


def of_table(rows: Dimension, columns: Dimension) -> Mapping[str, str]:
    """The texts of authors.sql for a table of two dimensions."""
    values = _OF_AUTHORS | _OF_RECEIVERS
    return _texts(
        {TABLE: f"jsonb_build_array({values[rows]}, {values[columns]})::text"},
        {rows, columns},
        tells_authors=bool({rows, columns} & _OF_AUTHORS.keys()),
    )
