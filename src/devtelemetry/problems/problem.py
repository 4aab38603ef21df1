"""A problem as a value, in words and as JSON. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from devtelemetry import words
from devtelemetry.figures.document import iso
from devtelemetry.model import Dimension, LossClass, MembershipPolicy, Timeframe, Window
from devtelemetry.problems.explain import Cause, Kind, Unit
from devtelemetry.problems.judge import MIN_BASE_DAYS

NO_PROBLEM = "No change beyond chance."
_ID_WIDTH = 48
_LEAST_BEFORE = timedelta(hours=12)  # a problem's page shows at least so long before it began
_SUREST = 1_000  # "1 of" a larger number would promise more than the method holds

_NAMES: Mapping[Kind, str] = {
    Kind.EVERYTHING: "Everywhere",
    Kind.APP_VERSION: "App version {}",
    Kind.PLATFORM: "Platform {}",
    Kind.PLATFORM_VERSION: "App version {1} on {0}",
    Kind.AUTHOR_APP_VERSION: "Messages of authors with app version {}",
    Kind.AUTHOR_PLATFORM: "Messages of authors on {}",
    Kind.AUTHOR_PLATFORM_VERSION: "Messages of authors with app version {1} on {0}",
    Kind.PATH: "Path {}",
    Kind.MESSAGE_TYPE: "Messages of type {}",
    Kind.CHANNEL: "Channel {}",
    Kind.LOSS_CLASS: "Losses that are {}",
    Kind.REPORTS: "Reports",
}
_ONE = {Kind(dimension.value) for dimension in Dimension}
_TWO = {
    Kind.PLATFORM_VERSION: (Dimension.PLATFORM, Dimension.APP_VERSION),
    Kind.AUTHOR_PLATFORM_VERSION: (Dimension.AUTHOR_PLATFORM, Dimension.AUTHOR_APP_VERSION),
}
_OF_AUTHORS = {
    Kind.AUTHOR_APP_VERSION,
    Kind.AUTHOR_PLATFORM,
    Kind.AUTHOR_PLATFORM_VERSION,
    Kind.PATH,
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A unit that loses more than before.

    unit        where the messages are lost
    began       the start of the window in which it most likely began; with a probability of 95 % it
                began in one from `earliest` to `latest`
    now, before delivery ratio since `began`, and in the same hours of earlier days; for reports,
                the share of pairs that are not unknown
    deliveries  number of deliveries since `began`
    lost        how many of these were lost; `lost_more`: how many more than expected
    clusters    receivers, or authors, in the window that has most of them
    chance      at most the chance that anything like it is found in four weeks without a cause
    of          the class that most extra losses are of; None: several classes
    is_new      the group has no earlier days, so `before` is that of all deliveries
    page        the dashboard's address of it: the hours since `began`, and as many before
    """

    unit: Unit
    began: datetime
    earliest: datetime
    latest: datetime
    now: float
    before: float
    deliveries: int
    lost: int
    lost_more: int
    clusters: int
    chance: float
    of: LossClass | None
    is_new: bool
    page: str

    @property
    def name(self) -> str:
        """`App version 2.36.0 on ios`"""
        of_class = self.unit.kind is Kind.LOSS_CLASS
        values = (
            [words.LOSS_CLASSES[LossClass(self.unit.value)]]
            if of_class
            else [words.shorten(value, _ID_WIDTH) for value in self.unit[1:]]
        )
        return _NAMES[self.unit.kind].format(*values)

    @property
    def what(self) -> str:
        """A sentence or two that follow the name."""
        since = f"since {words.utc(self.began)}"
        if self.unit.kind is Kind.REPORTS:
            return (
                f"{words.percent(self.now)} of the deliveries are reported on {since}, "
                f"{words.percent(self.before)} before. The reports of {words.count(self.lost)} of "
                f"{words.count(self.deliveries)} deliveries are missing."
            )
        number = f"{words.count(self.clusters)} or more"
        by_authors = self.unit.kind in _OF_AUTHORS
        whom = f"from {number} authors" if by_authors else f"to {number} receivers"
        before = "of all others before" if self.is_new else "before"
        mostly = f", most of them {words.LOSS_CLASSES[self.of]}" if self.of else ""
        return (
            f"{words.percent(self.now)} delivered {since}, {words.percent(self.before)} {before}. "
            f"Of {words.count(self.deliveries)} deliveries {whom}, {words.count(self.lost_more)} "
            f"more were lost than expected{mostly}."
        )

    @property
    def how_sure(self) -> str:
        """`Chance alone would show this in fewer than 1 of 1,000 months.`"""
        one_in = min(_SUREST, int(1 / self.chance)) if self.chance > 0 else _SUREST
        return f"Chance alone would show this in fewer than 1 of {words.count(one_in)} months."


@dataclass(frozen=True, slots=True)
class Problems:
    """What is wrong at the end of the latest window.

    timeframe     of the windows that are looked at; None: no timeframe tiles a day
    until         the end of the latest window, aware UTC; None: there is no window
    earlier_days  how many days before it have windows with pairs
    found         the most general problem first
    """

    timeframe: Timeframe | None
    membership: MembershipPolicy
    until: datetime | None
    earlier_days: float = 0.0
    found: Sequence[Problem] = ()

    @property
    def can_tell(self) -> bool:
        """Whether there was enough to look at, so that no problem means that none was found."""
        return bool(self.found) or self.nothing == NO_PROBLEM

    @property
    def nothing(self) -> str:
        """The text if nothing was found; empty if something was."""
        if self.found:
            return ""
        if self.timeframe is None:
            return "Problems are found in windows that divide a day evenly; none is configured."
        if self.until is None:
            return words.NOT_COMPUTED
        if self.earlier_days < MIN_BASE_DAYS:
            return (
                f"Too early to find problems: {MIN_BASE_DAYS} earlier days are needed, and there "
                f"are {self.earlier_days:.1f}."
            )
        return NO_PROBLEM


def problem_of(
    cause: Cause,
    start: datetime,
    end: datetime,
    timeframe: Timeframe,
    membership: MembershipPolicy,
) -> Problem:
    """start, end: the start of the lines' first window and the end of their last one."""
    began, earliest, latest = (
        start + at * timeframe.length
        for at in (cause.onset.start, cause.onset.earliest, cause.onset.latest)
    )
    found = cause.evidence
    return Problem(
        cause.unit,
        began,
        earliest,
        latest,
        1 - found.missing / found.pairs,
        1 - found.expected / found.pairs,
        found.pairs,
        found.missing,
        round(cause.excess),
        cause.clusters,
        cause.chance,
        cause.of,
        cause.is_new,
        page_of(cause.unit, Window(began, end), timeframe, membership),
    )


def subject_of(unit: Unit) -> dict[str, str]:
    """The unit as names and values: its dimensions, `channel` or `loss_class`. Empty for
    everything and for reports."""
    if unit.kind in _TWO:
        platform, version = _TWO[unit.kind]
        return {platform.value: unit.value, version.value: unit.other}
    if unit.kind in _ONE or unit.kind in {Kind.CHANNEL, Kind.LOSS_CLASS}:
        return {unit.kind.value: unit.value}
    return {}


def page_of(unit: Unit, since: Window, timeframe: Timeframe, membership: MembershipPolicy) -> str:
    """The dashboard's address of the unit. The sums are over `since`; the line begins earlier, so
    that the fall is visible. The page stays the same when there are newer windows."""
    before = max(since.end - since.start, _LEAST_BEFORE)
    query = {
        "timeframe": timeframe.name,
        "from": iso(since.start - before),
        "to": iso(since.end),
        "since": iso(since.start),
        **subject_of(unit),
    }
    path, place = "/group", ""
    if unit.kind is Kind.CHANNEL:
        path, query["id"] = "/channel", query.pop("channel")
    elif unit.kind in {Kind.EVERYTHING, Kind.REPORTS}:
        path, place = "/", "#line" if unit.kind is Kind.EVERYTHING else "#who"
    query["membership"] = membership.value
    # A client may send an id with half a surrogate pair. The link then leads nowhere.
    return f"{path}?{urlencode(query, errors='replace')}{place}"


def problems_as_json(problems: Problems) -> dict[str, Any]:
    """Source: docs/protocol.md, "Problems as JSON"."""
    return {
        "timeframe": problems.timeframe and problems.timeframe.name,
        "membership": problems.membership.value,
        "until": problems.until and iso(problems.until),
        "nothing": problems.nothing or None,
        "problems": [problem_as_json(one) for one in problems.found],
    }


def problem_as_json(one: Problem) -> dict[str, Any]:
    """One of these `problems`."""
    of_authors = one.unit.kind in _OF_AUTHORS
    return {
        "kind": one.unit.kind.value,
        "value": one.unit.value or None,
        "app_version": one.unit.other or None,
        "what": f"{one.name}: {one.what} {one.how_sure}",
        "began": iso(one.began),
        "began_earliest": iso(one.earliest),
        "began_latest": iso(one.latest),
        "now": one.now,
        "before": one.before,
        "deliveries": one.deliveries,
        "lost": one.lost,
        "lost_more": one.lost_more,
        "receivers": None if of_authors else one.clusters,
        "authors": one.clusters if of_authors else None,
        "loss_class": one.of and one.of.value,
        "chance": one.chance,
        "is_new": one.is_new,
        "page": one.page,
    }
