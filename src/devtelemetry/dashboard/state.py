"""What a page's address asks for, so that every view can be shared as a link. Pure.

    /         ?timeframe=1h &span=7d &by=app_version &membership=present
              For a span that does not move on: &from=2026-03-02T10:00:00Z &to=… instead of span;
              with them &since=…, if the sums begin later than the line
    /channel  ?id=…  and the same
    /group    the same
              /channel and /group also have what they are narrowed to: &platform=ios
              &app_version=… &loss_class=unreadable, and a dimension to break it down by:
              &across=path
    /window   ?timeframe=1h &start=2026-03-02T10:00:00Z &channel=… &membership=present
    /channels is in channels_state.py

If a part of the address is not understood, the page shows an error. It never guesses.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from urllib.parse import urlencode

from devtelemetry.figures.document import iso
from devtelemetry.model import (
    DAY,
    HOUR,
    WEEK,
    Dimension,
    LossClass,
    MembershipPolicy,
    Timeframe,
    Window,
    WindowReliability,
    parse_moment,
    parse_timeframe,
    window_at,
)

SPANS: Mapping[str, timedelta] = {
    "24h": DAY,
    "7d": WEEK,
    "30d": 30 * DAY,
    "90d": 90 * DAY,
    "1y": 366 * DAY,
}
"""How far back a page looks: name and length"""

BREAKDOWNS = tuple(dimension for dimension in Dimension if dimension is not Dimension.PLATFORM)
"""The dimensions that the second breakdown of a page can have; the first is by platform"""

MOST_POINTS = 800  # of a line: about as many as a screen shows, and each costs a row to read
MOST_FINE = 400  # points of a line if nobody chose the timeframe
MOST_SPAN = 3660 * DAY
MOST_ID_BYTES = 512  # of a channel's id, as on the wire
MOST_VALUE = 1000  # characters of a group's value; a path has two names
MOST_DIMENSIONS = 2  # to narrow a page to; with two, only one window is computed

LOSS_CLASS = "loss_class"


class BadState(ValueError):
    """The address is not understood. One line says which part, and what is allowed."""


@dataclass(frozen=True, slots=True)
class PageState:
    """What the overview, or the page of a channel or a group, shows.

    timeframe   of the windows of the line and of the sums
    span        how far back from the latest window, a name of SPANS; empty if `fixed` has the span
    by          the dimension of the second breakdown: one of BREAKDOWNS
    channel     None: all channels
    fixed       from when to when, as it was asked for; None if `span` has the span
    where       the groups that the page is narrowed to, one per dimension, in order of dimensions
    loss        the only class of losses that counts as missing; None: all classes
    across      a dimension that the group is broken down by, in one window
    since       a moment in the first window that is summed; None: the sums begin with the line.
                Only with `fixed`
    """

    timeframe: Timeframe
    span: str
    membership: MembershipPolicy
    by: Dimension = Dimension.APP_VERSION
    channel: str | None = None
    fixed: Window | None = None
    where: tuple[tuple[Dimension, str], ...] = ()
    loss: LossClass | None = None
    across: Dimension | None = None
    since: datetime | None = None

    @property
    def is_narrowed(self) -> bool:
        """Whether the page is narrowed to a group or a class of losses."""
        return bool(self.where) or self.loss is not None

    @property
    def is_pair(self) -> bool:
        """Whether it is narrowed to two groups at once, for which nothing is stored."""
        return len(self.where) > 1

    @property
    def length(self) -> timedelta:
        if self.fixed is None:
            return SPANS[self.span]
        around = windows_around(self.timeframe, self.fixed)
        return around.end - around.start

    @property
    def points(self) -> int:
        """How many windows the line has at most."""
        return self.length // self.timeframe.length

    def bounds(self, anchor: datetime | None) -> Window | None:
        """The span that the line shows; None if there is no window.

        anchor  where the latest window ends
        """
        if self.fixed is not None:
            return windows_around(self.timeframe, self.fixed)
        return None if anchor is None else Window(anchor - self.length, anchor)

    def sums(self, window: Window) -> bool:
        """Whether a window of the line is in the sums."""
        return self.since is None or window.end > self.since

    def summed_of(self, line: Sequence[WindowReliability]) -> Sequence[WindowReliability]:
        """The windows of the line that are in the sums."""
        return [one for one in line if self.sums(one.window)]

    def summed(self, bounds: Window) -> Window:
        """The part of these bounds that is summed, in whole windows."""
        if self.since is None:
            return bounds
        start = window_at(self.timeframe, self.since).start
        return Window(max(start, bounds.start), bounds.end)


OVERVIEW, CHANNEL, GROUP = "/", "/channel", "/group"
"""The paths of pages that show a PageState"""


def windows_around(timeframe: Timeframe, span: Window) -> Window:
    """The smallest span of whole windows that contains `span`."""
    start, last = window_at(timeframe, span.start), window_at(timeframe, span.end)
    return Window(start.start, last.start if last.start == span.end else last.end)


@dataclass(frozen=True, slots=True)
class WindowPageState:
    """What a window's page shows.

    versions  whether to compute the table of authors' by receivers' versions
    """

    timeframe: Timeframe
    start: datetime
    membership: MembershipPolicy
    channel: str | None = None
    versions: bool = False


def read_asked(
    query: Mapping[str, str],
    timeframes: Sequence[Timeframe],
    membership: MembershipPolicy,
    *,
    path: str = "/",
) -> PageState:
    """The query of a page at `path`: `/`, `/channel` or `/group`. Raises BadState.

    timeframes  the configured ones, the shortest first
    membership  the configured policy, for queries without one
    """
    known = {
        *("timeframe", "span", "from", "to", "since", "by", "membership"),
        *(["id"] if path == CHANNEL else []),
        *([*Dimension, LOSS_CLASS, "across"] if path != OVERVIEW else []),
    }
    allow_only(query, known)
    where, loss = _where(query), _loss(query)
    if path == GROUP and not where and loss is None:
        allowed = ", ".join((*Dimension, LOSS_CLASS))
        raise BadState(f"no group is named; allowed: one of {allowed}, or two of them")
    fixed = _fixed(query)
    if fixed is not None and not query.get("timeframe"):
        timeframe = _finest(fixed, timeframes)
    else:
        timeframe = _timeframe(query.get("timeframe"), timeframes)
    span = "" if fixed is not None else query.get("span") or _span_for(timeframe)
    if fixed is None and span not in SPANS:
        raise BadState(f"span: {span!r} is not known; allowed: {', '.join(SPANS)}")
    return PageState(
        timeframe,
        span,
        policy_of(query.get("membership")) or membership,
        _dimension(query.get("by")) or Dimension.APP_VERSION,
        _channel(query, "id") if path == CHANNEL else None,
        fixed,
        where,
        loss,
        _across(query.get("across"), where),
        _since(query.get("since"), fixed),
    )


def read_asked_window(
    query: Mapping[str, str], timeframes: Sequence[Timeframe], membership: MembershipPolicy
) -> WindowPageState:
    """The query of `/window`. Raises BadState."""
    allow_only(query, {"timeframe", "start", "channel", "membership", "versions"})
    timeframe = _timeframe(query.get("timeframe"), timeframes)
    if not query.get("start"):
        raise BadState("start: is missing; it is when the window starts, as 2026-03-02T10:00:00Z")
    try:
        start = parse_moment(query["start"])
    except ValueError as error:
        raise BadState(f"start: {error}") from None
    window = window_at(timeframe, start)
    if window.start != start:
        raise BadState(
            f"start: no {timeframe.name} window starts then; one starts at {iso(window.start)}"
        )
    return WindowPageState(
        timeframe,
        start,
        policy_of(query.get("membership")) or membership,
        _channel(query, "channel") if query.get("channel") else None,
        bool(query.get("versions")),
    )


def fitting(asked: PageState, timeframes: Sequence[Timeframe]) -> PageState:
    """The same with longer windows, or else a shorter span, if a line has no room for its own."""
    if asked.points <= MOST_POINTS:
        return asked
    longer = [one for one in timeframes if replace(asked, timeframe=one).points <= MOST_POINTS]
    if longer:
        return replace(asked, timeframe=longer[0])
    longest = max([asked.timeframe, *timeframes], key=lambda one: one.length)
    if asked.fixed is not None:
        start = asked.fixed.end - MOST_POINTS // 2 * longest.length
        return replace(asked, timeframe=longest, fixed=Window(start, asked.fixed.end))
    spans = [name for name, span in SPANS.items() if span // longest.length <= MOST_POINTS]
    return replace(asked, timeframe=longest, span=max(spans or SPANS, key=lambda one: SPANS[one]))


def summed_timeframe(
    asked: PageState, timeframes: Sequence[Timeframe], most_windows: int
) -> Timeframe:
    """The shortest timeframe, but not below the one asked for, with at most `most_windows` windows
    in the span. The sums over all channels are made from these."""
    longer = [one for one in timeframes if one.length >= asked.timeframe.length]
    few = [one for one in longer if asked.length // one.length <= most_windows]
    return few[0] if few else (longer or [asked.timeframe])[-1]


def narrow(asked: PageState, dimension: Dimension, value: str) -> PageState:
    """Narrowed to this group as well. It replaces another group of the same dimension."""
    groups = {**dict(asked.where), dimension: value}
    where = tuple((one, groups[one]) for one in Dimension if one in groups)
    return replace(asked, where=where, across=None)


def widen(asked: PageState, dimension: Dimension) -> PageState:
    """Without the group of this dimension."""
    where = tuple(one for one in asked.where if one[0] is not dimension)
    return replace(asked, where=where, across=None)


def around_window(asked: WindowPageState) -> PageState:
    """The state for links from a window to the pages of its groups: a span that ends with it."""
    span = _span_for(asked.timeframe)
    end = asked.start + asked.timeframe.length
    return PageState(
        asked.timeframe,
        "",
        asked.membership,
        channel=asked.channel,
        fixed=Window(end - SPANS[span], end),
    )


def address(asked: PageState | WindowPageState, path: str | None = None) -> str:
    """The link to the page. path: another one than the page's own, as for exports"""
    return link_to(path or path_of(asked), _query(asked))


def address_of_part(asked: PageState, part: Window | None) -> str:
    """The link to a part of the span, in the shortest windows that a line has room for. With None
    it has no `from` and `to`, because the script adds these."""
    query = kept_of(asked)
    if part is not None:
        query |= {"from": iso(part.start), "to": iso(part.end)}
    return link_to(path_of(asked), query)


def kept_of(asked: PageState) -> dict[str, str]:
    """The parts of the query that stay when another span is chosen."""
    left_out = {"timeframe", "span", "from", "to", "since"}
    return {name: value for name, value in _query(asked).items() if name not in left_out}


def path_of(asked: PageState | WindowPageState) -> str:
    """The path of the page that shows this state."""
    if isinstance(asked, WindowPageState):
        return "/window"
    if asked.channel is not None:
        return CHANNEL
    return GROUP if asked.is_narrowed else OVERVIEW


def link_to(path: str, query: Mapping[str, str]) -> str:
    # A client can send an id with half a surrogate pair; the link to such an id leads nowhere.
    return f"{path}?{urlencode(query, errors='replace')}"


def _query(asked: PageState | WindowPageState) -> dict[str, str]:
    query: dict[str, str] = {"timeframe": asked.timeframe.name}
    if isinstance(asked, WindowPageState):
        query["start"] = iso(asked.start)
        if asked.channel is not None:
            query["channel"] = asked.channel
        if asked.versions:
            query["versions"] = "1"
    else:
        if asked.fixed is None:
            query["span"] = asked.span
        else:
            query |= {"from": iso(asked.fixed.start), "to": iso(asked.fixed.end)}
        if asked.since is not None:
            query["since"] = iso(asked.since)
        query["by"] = asked.by.value
        if asked.channel is not None:
            query["id"] = asked.channel
        query |= {dimension.value: value for dimension, value in asked.where}
        if asked.loss is not None:
            query[LOSS_CLASS] = asked.loss.value
        if asked.across is not None:
            query["across"] = asked.across.value
    query["membership"] = asked.membership.value
    return query


def allow_only(query: Mapping[str, str], known: set[str]) -> None:
    for name in query:
        if name not in known:
            raise BadState(f"{name!r} is not known here; allowed: {', '.join(sorted(known))}")


def _timeframe(text: str | None, timeframes: Sequence[Timeframe]) -> Timeframe:
    """Also a timeframe that is not configured any more, because it may have stored windows."""
    if not text:
        return timeframes[0]
    try:
        asked = parse_timeframe(text)
    except ValueError as error:
        raise BadState(f"timeframe: {error}") from None
    return next((one for one in timeframes if one.length == asked.length), asked)


def _fixed(query: Mapping[str, str]) -> Window | None:
    if not (query.get("from") or query.get("to")):
        return None
    if query.get("span"):
        raise BadState("span: stands beside from and to; allowed: one or the other")
    found = {}
    for name in ("from", "to"):
        if not query.get(name):
            raise BadState(f"{name}: is missing; allowed: both from and to, or neither")
        try:
            found[name] = parse_moment(query[name])
        except ValueError as error:
            raise BadState(f"{name}: {error}") from None
    if not timedelta(0) < found["to"] - found["from"] <= MOST_SPAN:
        raise BadState(f"to: is not after from; allowed: up to {MOST_SPAN.days:,} days after it")
    return Window(found["from"], found["to"])


def _since(text: str | None, fixed: Window | None) -> datetime | None:
    if not text:
        return None
    if fixed is None:
        raise BadState("since: stands without from and to; allowed: beside them")
    try:
        since = parse_moment(text)
    except ValueError as error:
        raise BadState(f"since: {error}") from None
    if not fixed.start <= since < fixed.end:
        raise BadState("since: is not within the span; allowed: a moment between from and to")
    return since


def _finest(fixed: Window, timeframes: Sequence[Timeframe]) -> Timeframe:
    """The shortest timeframe whose windows of the span fit into a line."""
    length = fixed.end - fixed.start
    return next((one for one in timeframes if length // one.length < MOST_FINE), timeframes[-1])


def _span_for(timeframe: Timeframe) -> str:
    """A span with enough windows for a line that shows something."""
    if timeframe.length < HOUR:
        return "24h"
    if timeframe.length < DAY:
        return "7d"
    return "90d" if timeframe.length < WEEK else "1y"


def policy_of(text: str | None) -> MembershipPolicy | None:
    try:
        return MembershipPolicy(text) if text else None
    except ValueError:
        raise BadState(
            f"membership: {text!r} is not known; allowed: {', '.join(MembershipPolicy)}"
        ) from None


def _dimension(text: str | None) -> Dimension | None:
    if not text:
        return None
    if text not in BREAKDOWNS:
        raise BadState(f"by: {text!r} is not known here; allowed: {', '.join(BREAKDOWNS)}")
    return Dimension(text)


def _where(query: Mapping[str, str]) -> tuple[tuple[Dimension, str], ...]:
    """The groups in the query. An empty value means the pairs for which no value was reported."""
    found = tuple((dimension, query[dimension]) for dimension in Dimension if dimension in query)
    if len(found) > MOST_DIMENSIONS:
        named = ", ".join(dimension for dimension, _ in found)
        raise BadState(
            f"{named}: figures are stored of one of them, and computed of two; "
            f"allowed: up to {MOST_DIMENSIONS} at once"
        )
    for dimension, value in found:
        if "\0" in value or len(value) > MOST_VALUE:
            raise BadState(f"{dimension}: is no such value; allowed: {MOST_VALUE} letters, no NUL")
    return found


def _loss(query: Mapping[str, str]) -> LossClass | None:
    text = query.get(LOSS_CLASS)
    try:
        return LossClass(text) if text else None
    except ValueError:
        raise BadState(
            f"{LOSS_CLASS}: {text!r} is not known; allowed: {', '.join(LossClass)}"
        ) from None


def _across(text: str | None, where: Sequence[tuple[Dimension, str]]) -> Dimension | None:
    if not text:
        return None
    named = [dimension for dimension, _ in where]
    allowed = [one for one in Dimension if len(named) == 1 and one not in named]
    if text not in allowed:
        raise BadState(
            f"across: {text!r} does not do here; allowed beside one group: "
            f"{', '.join(allowed) or 'none'}"
        )
    return Dimension(text)


def _channel(query: Mapping[str, str], name: str) -> str:
    channel = query.get(name)
    if not channel:
        raise BadState(f"{name}: is missing; it is the channel's id, as clients send it")
    if "\0" in channel or len(channel.encode("utf-8", "replace")) > MOST_ID_BYTES:
        raise BadState(f"{name}: is no channel's id; allowed: up to {MOST_ID_BYTES} bytes, no NUL")
    return channel
