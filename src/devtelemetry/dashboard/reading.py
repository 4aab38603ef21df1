"""Reads what a page shows from the stored figures. Samples are read only to drill down."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, TypeVar

from devtelemetry.aggregate.failed import FailedWindow, read_failed_windows
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.table import CrossTable
from devtelemetry.dashboard.beside import NOTHING_BESIDE, Beside, read_beside
from devtelemetry.dashboard.channels_state import ChannelsState
from devtelemetry.dashboard.drilling import Drilling, Missing
from devtelemetry.dashboard.listing import (
    MOST_SUMMED_OF_ALL,
    Listing,
    heat_channels,
    heat_span,
    listed,
)
from devtelemetry.dashboard.state import (
    PageState,
    WindowPageState,
    fitting,
    summed_timeframe,
    windows_around,
)
from devtelemetry.dashboard.subjects import MOST_SUMMED, SubjectReader, SubjectReading
from devtelemetry.figures.derive import Totals
from devtelemetry.figures.read import (
    Selection,
    channel_cells,
    channel_sums,
    check_names,
    has_samples,
    latest_end,
    moved_channels,
    newest_computation,
    read_windows,
    start_of_latest,
    worst_channels,
)
from devtelemetry.figures.sides import DIMENSIONS_OF_SIDES
from devtelemetry.figures.tiles import read_tiles
from devtelemetry.findings.read import Finding, newest_findings, read_findings
from devtelemetry.model import (
    DAY,
    HOUR,
    Dimension,
    MembershipPolicy,
    Timeframe,
    Window,
    WindowReliability,
    longest_up_to,
)
from devtelemetry.problems.problem import Problems
from devtelemetry.problems.read import LatestProblems
from devtelemetry.releases.notes import state_of_notes
from devtelemetry.runtime.shared import Shared
from devtelemetry.store.database import Database

NOW_WINDOWS = 15  # of each timeframe: the latest, and the 14 before it as a trend
WORST_CHANNELS = 8
MOVED_CHANNELS = 3
REMEMBERED = 64  # drawn pages, 100 to 300 kB each

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Worst:
    """The worst channels of the windows of `timeframe` that start in [start, end)."""

    timeframe: Timeframe
    start: datetime
    end: datetime
    channels: Sequence[tuple[str, Totals]]


@dataclass(frozen=True, slots=True)
class Days:
    """The windows of the last 24 hours and of the 24 hours before."""

    timeframe: Timeframe
    split: datetime  # where the last 24 hours begin
    before: Sequence[WindowReliability]
    after: Sequence[WindowReliability]
    moved: Sequence[tuple[str, Totals, Totals]]


@dataclass(frozen=True, slots=True)
class OverviewReading:
    asked: PageState  # as it is shown: may have longer windows than were asked for
    anchor: datetime | None  # where the latest window ends; None if there is no window
    latest: Sequence[tuple[Timeframe, Sequence[WindowReliability]]]  # oldest first
    windows: Sequence[WindowReliability]
    tiles: Sequence[WindowReliability]  # the windows that are summed: figures/tiles.py
    beside: Beside
    days: Days | None
    worst: Worst | None
    findings: Sequence[Finding]
    failed: Sequence[FailedWindow]
    problems: Problems
    has_samples: bool


@dataclass(frozen=True, slots=True)
class WindowReading:
    asked: WindowPageState
    window: WindowReliability | None  # None: not computed, or there is no such window
    neighbours: Sequence[WindowReliability]  # with the window itself
    missing: Missing | None = None  # in the channel, if one is asked for
    missing_problem: str = ""  # why `missing` is None
    versions: CrossTable | None = None  # authors' by receivers' versions
    versions_problem: str = ""


class Reader:
    """Reads for all viewers of one server. Viewers who ask for the same at the same time share one
    read. The page made from it is kept, because it is much smaller than what was read."""

    def __init__(
        self,
        database: Database,
        timeframes: Sequence[Timeframe],
        rules: AggregateRules,
        now: Callable[[], datetime],
        problems: LatestProblems | None = None,
    ) -> None:
        self._database = database
        self._timeframes = timeframes
        self._problems = problems or LatestProblems(database, timeframes)
        self._drilling = Drilling(database, rules, now)
        self._subjects = SubjectReader(database, timeframes, self._problems, self._drilling)
        self._shared = Shared().get
        self._kept: OrderedDict[Hashable, Any] = OrderedDict()
        self._kept_of: Hashable = None  # the state that the kept pages show

    async def state(self) -> Hashable:
        """A value that changes when pages would show something else."""
        newest = await newest_computation(self._database)
        if newest is None:
            # Until there is a sample, the empty page says how to send a first one.
            return await has_samples(self._database)
        findings = await newest_findings(self._database)
        return newest, findings, await state_of_notes(self._database)

    async def until(self, membership: MembershipPolicy) -> datetime | None:
        """The end of the latest window, for the shortest timeframe that has windows."""
        for timeframe in self._timeframes:
            end = await latest_end(self._database, timeframe.name, membership)
            if end is not None:
                return end
        return None

    async def overview(self, asked: PageState) -> OverviewReading:
        newest = await newest_computation(self._database)
        return await self._shared((asked, newest), lambda: self._read_overview(asked))

    async def subject(self, asked: PageState) -> SubjectReading:
        """Raises UnknownName if the channel is not known; so does `window`."""
        newest = await newest_computation(self._database)
        return await self._shared((asked, newest), lambda: self._subjects.read(asked))

    async def window(self, asked: WindowPageState, *, drill: bool = True) -> WindowReading:
        """drill: also read a channel's missing messages, which may take seconds"""
        newest = await newest_computation(self._database)
        return await self._shared(
            (asked, newest, drill), lambda: self._read_window(asked, drill=drill)
        )

    async def channels(self, asked: ChannelsState) -> Listing:
        """The list of channels. The sums are read once, however viewers sort and search them."""
        membership, frames = asked.membership, self._timeframes
        of = PageState(frames[0], asked.span, membership)
        timeframe = summed_timeframe(of, frames, MOST_SUMMED_OF_ALL)
        end = await latest_end(self._database, timeframe.name, membership)
        latest = await latest_end(self._database, frames[0].name, membership)
        if end is None or latest is None:
            return Listing(asked, timeframe, None, empty=await has_samples(self._database))
        span = Window(end - of.length, end)
        sums = await self.kept(
            ("channel sums", timeframe, span, membership),
            lambda: channel_sums(self._database, timeframe.name, span.start, end, membership),
        )
        found = await asyncio.to_thread(listed, asked, sums)
        heat = heat_span(frames[0], latest)
        cells = await channel_cells(
            self._database,
            frames[0].name,
            heat.start,
            heat.end,
            membership,
            heat_channels(found),
        )
        return Listing(asked, timeframe, span, found, (frames[0], heat), cells)

    async def kept(self, key: Hashable, make: Callable[[], Awaitable[_T]]) -> _T:
        """What was made under this key in the present state. If there is nothing, it is made."""
        state = await self.state()
        if state != self._kept_of:
            self._kept.clear()
            self._kept_of = state
        if key not in self._kept:
            made = await self._shared((key, state), make)
            if state == self._kept_of:
                self._kept[key] = made
            if len(self._kept) > REMEMBERED:
                self._kept.popitem(last=False)
            return made
        self._kept.move_to_end(key)
        found: _T = self._kept[key]
        return found

    async def _read_overview(self, asked: PageState) -> OverviewReading:
        asked = fitting(asked, self._timeframes)
        anchor = await latest_end(self._database, asked.timeframe.name, asked.membership)
        latest = [
            (timeframe, await self._latest(timeframe, asked.membership))
            for timeframe in self._timeframes
        ]
        windows: Sequence[WindowReliability] = ()
        summed: Sequence[WindowReliability] = ()
        beside, worst = NOTHING_BESIDE, None
        bounds = asked.bounds(anchor)
        if anchor is not None and bounds is not None:
            selection = Selection(
                asked.timeframe.name,
                bounds.start,
                bounds.end,
                membership=asked.membership,
                by=(Dimension.PLATFORM, asked.by),
                channels=False,
            )
            windows = await self._windows(selection)
            recent = asked.summed_of(windows)
            summed = await read_tiles(self._database, self._timeframes, selection, recent)
            beside = await read_beside(self._database, self._timeframes, asked, bounds)
            worst = await self._worst(asked, asked.summed(bounds))
        return OverviewReading(
            asked,
            anchor,
            latest,
            windows,
            summed,
            beside,
            await self._days(asked.membership),
            worst,
            await read_findings(self._database),
            await read_failed_windows(self._database, asked.membership),
            await self._problems.read(asked.membership),
            # Asked only if there is no window: then the empty page depends on it.
            any(found for _, found in latest) or await has_samples(self._database),
        )

    async def _latest(
        self, timeframe: Timeframe, membership: MembershipPolicy
    ) -> Sequence[WindowReliability]:
        selection = Selection(timeframe.name, membership=membership, channels=False)
        start, _ = await start_of_latest(self._database, selection, NOW_WINDOWS)
        if start is None:
            return ()
        windows = list(await self._windows(replace(selection, start=start)))
        windows = [one for one in windows if one.window.start >= start]
        if windows and windows[-1].reliability is None:
            # Its channels show why it has no ratio.
            last = windows[-1].window
            only = replace(selection, start=last.start, end=last.end, channels=True)
            windows[-1:] = await self._windows(only)
        return windows

    async def _worst(self, asked: PageState, bounds: Window) -> Worst | None:
        timeframe = summed_timeframe(asked, self._timeframes, MOST_SUMMED)
        start, end = bounds.start, bounds.end
        if timeframe != asked.timeframe:
            if asked.fixed is None:
                end = (
                    await latest_end(self._database, timeframe.name, asked.membership)
                    or end  # no such window yet: there is nothing to sum
                )
                start = end - asked.length
            else:
                around = windows_around(timeframe, bounds)
                start, end = around.start, around.end
        channels = await worst_channels(
            self._database, timeframe.name, start, end, asked.membership, WORST_CHANNELS
        )
        return Worst(timeframe, start, end, channels)

    async def _days(self, membership: MembershipPolicy) -> Days | None:
        """By the longest windows of up to an hour, because these days need not end at midnight."""
        timeframe = longest_up_to(self._timeframes, HOUR)
        if timeframe is None or DAY % timeframe.length:
            return None
        end = await latest_end(self._database, timeframe.name, membership)
        if end is None:
            return None
        start, split = end - 2 * DAY, end - DAY
        windows = await self._windows(
            Selection(
                timeframe.name,
                start,
                end,
                membership=membership,
                by=tuple(DIMENSIONS_OF_SIDES),
                channels=False,
            )
        )
        return Days(
            timeframe,
            split,
            [one for one in windows if one.window.start < split],
            [one for one in windows if one.window.start >= split],
            await moved_channels(
                self._database, timeframe.name, start, split, end, membership, MOVED_CHANNELS
            ),
        )

    async def _read_window(self, asked: WindowPageState, *, drill: bool) -> WindowReading:
        length = asked.timeframe.length
        selection = Selection(
            asked.timeframe.name,
            asked.start,
            asked.start + length,
            channel=asked.channel,
            membership=asked.membership,
            by=tuple(Dimension),
        )
        await check_names(self._database, selection)
        neighbours = await self._windows(
            replace(
                selection, start=asked.start - length, end=asked.start + 2 * length, channels=False
            )
        )
        found = await self._windows(selection)
        reading = WindowReading(asked, found[0] if found else None, neighbours)
        return await self._drill_down(reading) if drill and found else reading

    async def _drill_down(self, reading: WindowReading) -> WindowReading:
        """Adds the missing messages of a channel, and the table of versions if asked for."""
        asked = reading.asked
        if asked.channel is not None:
            missing, problem = await self._drilling.missing(
                asked.channel, asked.timeframe, asked.start, asked.membership
            )
            reading = replace(reading, missing=missing, missing_problem=problem)
        if asked.versions:
            table, problem = await self._drilling.table(
                (Dimension.AUTHOR_APP_VERSION, Dimension.APP_VERSION),
                asked.timeframe,
                asked.start,
                asked.membership,
                asked.channel,
            )
            reading = replace(reading, versions=table, versions_problem=problem)
        return reading

    async def _windows(self, selection: Selection) -> Sequence[WindowReliability]:
        return [window async for window in read_windows(self._database, selection)]
