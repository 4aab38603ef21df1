"""The figures of a page as CSV and JSON. Pure."""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence

import orjson

from devtelemetry.causes.document import cell
from devtelemetry.dashboard.reading import OverviewReading, WindowReading
from devtelemetry.dashboard.subjects import SubjectReading
from devtelemetry.figures.document import window_as_json
from devtelemetry.model import WindowReliability
from devtelemetry.results.columns import COUNTS

_COUNTS = tuple(column.json for column in COUNTS if column.json)
_RATIOS = ("reliability", "delivery_ratio", "delivery_ratio_lower", "delivery_ratio_upper")
_WINDOW_COLUMNS = ("start", "end", "timeframe", "membership", "state", *_RATIOS, *_COUNTS)
_CHANNEL_COLUMNS = ("channel_id", "comparable", *_RATIOS, *_COUNTS)


def as_json(reading: OverviewReading | SubjectReading | WindowReading) -> bytes:
    """The windows of the page, as in the document of /api/v1/reliability."""
    windows = _shown(reading)
    document = {
        "timeframe": reading.asked.timeframe.name,
        "windows": [window_as_json(window) for window in windows],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2) + b"\n"


def as_csv(reading: OverviewReading | SubjectReading | WindowReading) -> str:
    """One line per window; for a window's page, one line per channel."""
    if isinstance(reading, WindowReading) and reading.asked.channel is None:
        found = reading.window
        rows = [] if found is None else window_as_json(found)["channels"]
        return _csv(_CHANNEL_COLUMNS, rows)
    return _csv(_WINDOW_COLUMNS, _rows(_shown(reading)))


def _shown(
    reading: OverviewReading | SubjectReading | WindowReading,
) -> Sequence[WindowReliability]:
    if isinstance(reading, WindowReading):
        return [] if reading.window is None else [reading.window]
    return reading.windows


def _rows(windows: Iterable[WindowReliability]) -> Iterator[dict[str, object]]:
    for window in windows:
        yield {**window_as_json(window), "timeframe": window.timeframe}


def _csv(columns: Sequence[str], rows: Iterable[dict[str, object]]) -> str:
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_cell(row[column]) for column in columns])
    return written.getvalue()


def _cell(value: object) -> object:
    if isinstance(value, str):
        return cell(value)
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else value
