"""What is shown beside a line: the same span a week before, versions first seen, notes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from devtelemetry.dashboard.state import PageState
from devtelemetry.figures.narrow import of_group, of_loss
from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.model import WEEK, MembershipPolicy, Timeframe, Window, WindowReliability
from devtelemetry.releases.adoption import read_first_seen
from devtelemetry.releases.notes import Note, read_notes
from devtelemetry.store.database import Database

LONGEST_COMPARED = 2 * WEEK  # a longer line shows earlier weeks itself
MOST_MARKS = 12  # for versions, and as many for notes


@dataclass(frozen=True, slots=True)
class Beside:
    """week_before  windows of the line's timeframe a week earlier, narrowed like the line
    first_seen   the newest versions first seen in the span, and when; oldest first
    notes        the newest notes of the span
    """

    week_before: Sequence[WindowReliability] = ()
    first_seen: Sequence[tuple[datetime, str]] = ()
    notes: Sequence[Note] = ()


NOTHING_BESIDE = Beside()


async def read_beside(
    database: Database, timeframes: Sequence[Timeframe], asked: PageState, bounds: Window
) -> Beside:
    notes = await read_notes(database, start=bounds.start, end=bounds.end, limit=MOST_MARKS)
    seen = await _first_seen(database, timeframes, asked.membership, bounds)
    return Beside(await _week_before(database, asked, bounds), seen, notes)


async def _week_before(
    database: Database, asked: PageState, bounds: Window
) -> Sequence[WindowReliability]:
    if asked.is_pair or asked.length > LONGEST_COMPARED or WEEK % asked.timeframe.length:
        return ()
    selection = selection_of(asked, bounds.start - WEEK, bounds.end - WEEK)
    return [narrowed(one, asked) async for one in read_windows(database, selection)]


async def _first_seen(
    database: Database,
    timeframes: Sequence[Timeframe],
    membership: MembershipPolicy,
    bounds: Window,
) -> Sequence[tuple[datetime, str]]:
    first = await read_first_seen(database, timeframes, membership)
    new = sorted(
        (seen, version)
        for version, seen in first.items()
        if seen is not None and bounds.start <= seen < bounds.end
    )
    return new[-MOST_MARKS:]


def selection_of(asked: PageState, start: datetime, end: datetime) -> Selection:
    """Selects windows with the groups that `narrowed` needs."""
    return Selection(
        asked.timeframe.name,
        start,
        end,
        channel=asked.channel,
        membership=asked.membership,
        by=tuple(dimension for dimension, _ in asked.where),
        channels=asked.channel is not None,  # to explain why the channel has no ratio
    )


def narrowed(window: WindowReliability, asked: PageState) -> WindowReliability:
    """The window with only what `asked` narrows it to. For two groups at once nothing is stored."""
    for dimension, value in asked.where:
        window = of_group(window, dimension, value)
    return window if asked.loss is None else of_loss(window, asked.loss)
