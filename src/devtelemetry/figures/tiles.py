"""The longest windows that tile a span: what is summed over it is summed over these.

Losses of one receiver often have one cause. In a day it is one cluster of losses, in 24 hours it is
24 that nobody knows to be one, and the interval of their sum takes the worst for granted. And a
span has the same figures whichever windows its line is drawn of.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from devtelemetry.figures.read import Selection, read_windows
from devtelemetry.model import Timeframe, WindowReliability, parse_timeframe
from devtelemetry.store.database import Database


async def read_tiles(
    database: Database,
    timeframes: Sequence[Timeframe],
    selection: Selection,
    windows: Sequence[WindowReliability],
) -> list[WindowReliability]:
    """Of a span, oldest first: longer windows where they are stored, else those that there are.

    timeframes  whose windows may be stored
    selection   of one membership policy; with it the windows of the span were read
    windows     of the span, oldest first, without overlap
    """
    if not windows:
        return []
    own = parse_timeframe(selection.timeframe).length
    longer = [one for one in timeframes if one.length > own]
    span = replace(selection, start=windows[0].window.start, end=windows[-1].window.end)
    found = [
        [one async for one in read_windows(database, replace(span, timeframe=timeframe.name))]
        for timeframe in sorted(longer, key=lambda one: one.length, reverse=True)
    ]
    return tiles([*found, windows])


def tiles(by_length: Iterable[Sequence[WindowReliability]]) -> list[WindowReliability]:
    """As many as fit of the first, then of the next where those leave room, oldest first. Pure.

    by_length  windows of timeframes, the longest first; within what the last ones span they count
    """
    ordered = list(by_length)
    begin, end = ordered[-1][0].window.start, ordered[-1][-1].window.end
    chosen: list[WindowReliability] = []
    for windows in ordered:
        chosen += [
            one
            for one in windows
            if begin <= one.window.start
            and one.window.end <= end
            and not any(
                one.window.start < other.window.end and other.window.start < one.window.end
                for other in chosen
            )
        ]
    return sorted(chosen, key=lambda one: one.window.start)
