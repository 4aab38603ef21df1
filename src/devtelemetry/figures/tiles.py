"""The longest stored windows that tile a span. Sums over the span are sums over these windows.

Losses of one receiver often have one cause. In the window of a day they are one cluster. In the
windows of 24 hours they are 24 clusters, not known to be one receiver, so the interval of the sum
has to assume the worst and is wider. With tiles a span also has the same figures whatever timeframe
its line is drawn in.
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
    """The tiles of a span, oldest first: longer windows where they are stored, else `windows`.

    timeframes  those that may have stored windows
    selection   the selection of one membership policy that `windows` were read with
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
    """All windows of the longest timeframe that fit, then of the next where there is room, and so
    on; oldest first. Pure.

    by_length  windows by timeframe, the longest first; the last windows define the span
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
