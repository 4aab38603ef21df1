"""Reads what the page of a channel, a group or a class of losses shows."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from devtelemetry.aggregate.table import CrossTable
from devtelemetry.dashboard.beside import (
    NOTHING_BESIDE,
    Beside,
    narrowed,
    read_beside,
    selection_of,
)
from devtelemetry.dashboard.drilling import Drilling, Missing
from devtelemetry.dashboard.state import PageState, fitting
from devtelemetry.figures.derive import Totals
from devtelemetry.figures.narrow import totals_of_loss
from devtelemetry.figures.read import (
    Selection,
    check_names,
    has_samples,
    latest_end,
    lossy_channels,
    read_windows,
    sums_of_channels,
)
from devtelemetry.figures.tiles import read_tiles
from devtelemetry.model import (
    AUDIT_CHANNELS,
    NO_COUNTS,
    NO_FIGURES,
    Dimension,
    Figures,
    Timeframe,
    Window,
    WindowReliability,
)
from devtelemetry.problems.problem import Problems, subject_of
from devtelemetry.problems.read import LatestProblems
from devtelemetry.store.database import Database

NOT_KEPT = "the samples of all windows with losses were cleaned; their figures are kept"
LOSSY_CHANNELS = 8
MOST_SUMMED = 200  # windows over which all channels are summed: more than a week of hours
MOST_LOOKED_AT = 200  # channels with the most losses, among which a group's worst are looked for


@dataclass(frozen=True, slots=True)
class Table:
    """A table of two dimensions in one window, or the problem why there is none. `window` is None
    if the span has no window to compute it from."""

    window: Window | None
    found: CrossTable | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class LossyChannels:
    """The channels with the most missing pairs in the last MOST_SUMMED windows.

    of  the group whose pairs are summed in each channel; None: all pairs of the channel
    """

    of: tuple[Dimension, str] | None
    found: Sequence[tuple[str, Totals]]


NO_CHANNELS = LossyChannels(None, ())


@dataclass(frozen=True, slots=True)
class SubjectReading:
    """asked     as it is shown: may have longer windows than were asked for
    anchor    where the latest window ends; None if there is no window
    windows   narrowed to the subject, oldest first; for two groups at once only the last one. For a
              class of losses they still have all classes
    around    the same windows before narrowing
    tiles     the windows that are summed, narrowed like `windows`: figures/tiles.py
    tiles_around  the tiles before narrowing, with groups
    whole     tiles of the whole that the subject is a part of; empty for an audit, which is a part
              of nothing
    channels  the channels in which the subject loses most, as far as that is stored
    table     for two groups at once, or a group broken down by another dimension
    missing   for a channel: what is missing in the window with the most losses, if possible since
              `since` or the onset of its problem. None if nothing is missing, or for the reason in
              `missing_problem`
    """

    asked: PageState
    anchor: datetime | None
    windows: Sequence[WindowReliability]
    around: Sequence[WindowReliability]
    tiles: Sequence[WindowReliability]
    tiles_around: Sequence[WindowReliability]
    whole: Sequence[WindowReliability]
    beside: Beside
    channels: LossyChannels
    table: Table | None
    missing: Missing | None
    missing_problem: str
    problems: Problems
    has_samples: bool


@dataclass(frozen=True, slots=True)
class SubjectReader:
    database: Database
    timeframes: Sequence[Timeframe]
    problems: LatestProblems
    drilling: Drilling

    async def read(self, asked: PageState) -> SubjectReading:
        """Raises UnknownName if the channel is not known."""
        asked = fitting(asked, self.timeframes)
        await check_names(self.database, Selection(asked.timeframe.name, channel=asked.channel))
        anchor = await latest_end(self.database, asked.timeframe.name, asked.membership)
        bounds = asked.bounds(anchor)
        around: Sequence[WindowReliability] = ()
        tiles_around: Sequence[WindowReliability] = ()
        whole: Sequence[WindowReliability] = ()
        beside, table = NOTHING_BESIDE, None
        channels = NO_CHANNELS
        if anchor is not None and bounds is not None:
            selection = _selection_around(asked, bounds)
            around = await self._windows(selection)
            recent = asked.summed_of(around)
            if not asked.is_pair:
                tiles_around = await self._tiles(selection, recent)
                whole = await self._whole(asked, asked.summed(bounds), tiles_around)
            if asked.is_pair or asked.across is not None:
                table = await self._table(asked, around)
            if not asked.is_pair:
                beside = await read_beside(self.database, self.timeframes, asked, bounds)
            channels = await self._channels(asked, recent[-MOST_SUMMED:])
        if asked.is_pair:
            windows = tiles = [] if table is None else pair_of(asked, around, table)
        else:
            of_all_losses = replace(asked, loss=None)
            windows = [narrowed(one, of_all_losses) for one in around]
            tiles = [narrowed(one, of_all_losses) for one in tiles_around]
        problems = await self.problems.read(asked.membership)
        missing, missing_problem = await self._missing(asked, windows, problems)
        return SubjectReading(
            asked,
            anchor,
            windows,
            around,
            tiles,
            tiles_around,
            whole,
            beside,
            channels,
            table,
            missing,
            missing_problem,
            problems,
            bool(around) or await has_samples(self.database),
        )

    async def _whole(
        self, asked: PageState, bounds: Window, tiles_around: Sequence[WindowReliability]
    ) -> Sequence[WindowReliability]:
        if asked.where or asked.channel is None:
            return tiles_around
        if asked.channel.startswith(AUDIT_CHANNELS):
            return ()
        selection = selection_of(replace(asked, channel=None), bounds.start, bounds.end)
        return await self._tiles(selection, await self._windows(selection))

    async def _channels(
        self, asked: PageState, windows: Sequence[WindowReliability]
    ) -> LossyChannels:
        if asked.channel is not None or not windows:
            return NO_CHANNELS
        timeframe, membership = asked.timeframe.name, asked.membership
        starts = [one.window.start for one in windows]
        channels = await lossy_channels(
            self.database, timeframe, starts[0], windows[-1].window.end, membership, MOST_LOOKED_AT
        )
        # For two groups at once nothing is stored. For one group, only where it has enough
        # receivers. So each group is tried by itself, and last the whole channels.
        for group in (*reversed(asked.where), None):
            found = await sums_of_channels(
                self.database, timeframe, starts, membership, channels, group
            )
            if asked.loss is not None:
                found = [(name, totals_of_loss(totals, asked.loss)) for name, totals in found]
            lossy = [one for one in found if one[1].counts.missing]
            if lossy:
                lossy.sort(key=lambda one: (-one[1].counts.missing, one[0]))
                return LossyChannels(group, lossy[:LOSSY_CHANNELS])
        return NO_CHANNELS

    async def _missing(
        self, asked: PageState, windows: Sequence[WindowReliability], problems: Problems
    ) -> tuple[Missing | None, str]:
        if asked.channel is None:
            return None, ""
        lossy = [one for one in windows if missing_of(one, asked)]
        kept = await self.drilling.with_samples(lossy)
        if not kept:
            return None, NOT_KEPT if lossy else ""
        mine = {("channel", asked.channel), *((of.value, value) for of, value in asked.where)}
        began = [one.began for one in problems.found if subject_of(one.unit).items() <= mine]
        since = asked.since or min(began, default=None)
        recent = [one for one in kept if since is not None and one.window.end > since]
        worst = max(recent or kept, key=lambda one: (missing_of(one, asked), one.window.start))
        return await self.drilling.missing(
            asked.channel, asked.timeframe, worst.window.start, asked.membership, asked.where
        )

    async def _table(self, asked: PageState, around: Sequence[WindowReliability]) -> Table:
        """The table of the last computed window of the span."""
        if not around:
            return Table(None)
        window = around[-1].window
        first = asked.where[0][0]
        second = asked.where[1][0] if asked.is_pair else asked.across
        assert second is not None
        found, problem = await self.drilling.table(
            (first, second), asked.timeframe, window.start, asked.membership, asked.channel
        )
        return Table(window, found, problem)

    async def _windows(self, selection: Selection) -> Sequence[WindowReliability]:
        return [window async for window in read_windows(self.database, selection)]

    async def _tiles(
        self, selection: Selection, windows: Sequence[WindowReliability]
    ) -> Sequence[WindowReliability]:
        return await read_tiles(self.database, self.timeframes, selection, windows)


def _selection_around(asked: PageState, bounds: Window) -> Selection:
    selection = selection_of(asked, bounds.start, bounds.end)
    if not asked.where:
        return replace(selection, by=(Dimension.PLATFORM, asked.by))
    return replace(selection, by=()) if asked.is_pair else selection


def missing_of(window: WindowReliability, asked: PageState) -> int:
    """The missing pairs of the window, in the class of losses asked for."""
    return window.counts.missing if asked.loss is None else window.counts.losses[asked.loss]


def pair_of(
    asked: PageState, around: Sequence[WindowReliability], table: Table
) -> list[WindowReliability]:
    """The window of the table as if it had only the pairs of both groups; empty without a table."""
    if table.found is None:
        return []
    values = tuple(value for _, value in asked.where)
    cells = (cell for cell in table.found.cells if (cell.row, cell.column) == values)
    cell = next(cells, None)
    counts = NO_COUNTS if cell is None else cell.counts
    figures = NO_FIGURES if cell is None else Figures(cell.spreads, cell.delays)
    return [
        replace(
            around[-1],
            reliability=counts.reliability,
            counts=counts,
            figures=figures,
            groups=(),
            unseen=None,
            sample_coverage=None,
        )
    ]
