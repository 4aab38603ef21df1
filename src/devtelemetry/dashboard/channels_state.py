"""The address of the list of channels, read and written; state.py does so for other pages. Pure.

/channels ?span=24h &sort=lost &search=… &page=2 &membership=present
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from devtelemetry.dashboard.state import MOST_ID_BYTES, BadState, allow_only, link_to, policy_of
from devtelemetry.model import MembershipPolicy


class Order(StrEnum):
    """How the list of channels is sorted."""

    LOST = "lost"  # surely missing pairs, the most first
    MISSING = "missing"  # the most first
    LOWER = "lower"  # the interval's lower bound, the least first; channels without one last
    RECEIVERS = "receivers"  # the most first
    NAME = "name"


CHANNEL_SPANS = ("24h", "7d", "30d")
"""How far back the list of channels looks"""


@dataclass(frozen=True, slots=True)
class ChannelsState:
    """What the list of channels shows.

    search  a part of the channels' ids, in any case; empty: all channels
    page    from 1
    """

    span: str
    membership: MembershipPolicy
    order: Order = Order.LOST
    search: str = ""
    page: int = 1


def read_asked_channels(query: Mapping[str, str], membership: MembershipPolicy) -> ChannelsState:
    """The query of `/channels`. Raises BadState."""
    allow_only(query, {"span", "sort", "search", "page", "membership"})
    span = query.get("span") or CHANNEL_SPANS[0]
    if span not in CHANNEL_SPANS:
        raise BadState(f"span: {span!r} is not known here; allowed: {', '.join(CHANNEL_SPANS)}")
    sort = query.get("sort") or Order.LOST
    if sort not in tuple(Order):
        raise BadState(f"sort: {sort!r} is not known; allowed: {', '.join(Order)}")
    page = query.get("page") or "1"
    if not re.fullmatch(r"[1-9][0-9]{0,5}", page):
        raise BadState(f"page: {page!r} is no page; allowed: a whole number from 1 on")
    search = query.get("search", "").strip()
    if len(search) > MOST_ID_BYTES:
        raise BadState(f"search: it is too long; allowed: up to {MOST_ID_BYTES} letters")
    return ChannelsState(
        span, policy_of(query.get("membership")) or membership, Order(sort), search, int(page)
    )


def address_of_channels(asked: ChannelsState) -> str:
    """The link to the list."""
    query = {"span": asked.span, "sort": asked.order.value}
    if asked.search:
        query["search"] = asked.search
    if asked.page > 1:
        query["page"] = str(asked.page)
    return link_to("/channels", query | {"membership": asked.membership.value})
