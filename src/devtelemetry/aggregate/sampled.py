"""The sample that a window is computed over: the coarsest one that was in force at any time in it.

Source: docs/algorithm.md, "A sample is enough". Samples of messages that no rule wanted are not
stored. So if no rule begins within the window, everything stored is in the window's sample.
"""

import contextlib
from collections.abc import AsyncIterator

from devtelemetry.model import Window
from devtelemetry.model.sampling import Sampling
from devtelemetry.results.rows import Computed, Row
from devtelemetry.store.database import Connection
from devtelemetry.store.sql import arrays, queries
from devtelemetry.v1.sampling import is_in_sample

_SLICE = 10_000  # messages

_QUERIES = queries(__package__, "sampled.sql")


@contextlib.asynccontextmanager
async def restricted(
    connection: Connection, sampling: Sampling, window: Window
) -> AsyncIterator[None]:
    """Within the block, in a transaction, `receipt` has only what is in the window's sample."""
    if sampling.is_steady(window.start_ms, window.end_ms):
        yield
        return
    await _leave_out(connection, sampling, window)
    await connection.execute(_QUERIES["copy"], start_ms=window.start_ms, end_ms=window.end_ms)
    for name in ("call_it_receipt", "key", "marks", "analyze"):
        await connection.execute(_QUERIES[name])
    before = await connection.fetchval(_QUERIES["put_first"])
    yield
    await connection.execute(_QUERIES["put_back"], search_path=before)
    await connection.execute(_QUERIES["drop"])


async def _leave_out(connection: Connection, sampling: Sampling, window: Window) -> None:
    await connection.execute(_QUERIES["unsampled"])
    one_in: dict[int, int] = {}
    messages = connection.slices(
        _QUERIES["messages"], _SLICE, start_ms=window.start_ms, end_ms=window.end_ms
    )
    async for rows in messages:
        beyond = []
        for row in rows:
            channel_id = row["channel_id"]
            if channel_id not in one_in:
                one_in[channel_id] = sampling.coarsest(channel_id, window.start_ms, window.end_ms)
            if not is_in_sample(one_in[channel_id], sampling.salt, row["channel"], row["message"]):
                beyond.append((channel_id, row["message_id"]))
        await connection.execute(
            _QUERIES["leave_out"], **arrays(beyond, "channel_ids", "message_ids")
        )


async def coarse_of(
    connection: Connection, sampling: Sampling, window: Window
) -> dict[str, list[int]]:
    """Receivers that recorded a coarser sample than the window's, as parameters of counting.sql."""
    rows = await connection.fetch(
        _QUERIES["coarse"], start_ms=window.start_ms, end_ms=window.end_ms
    )
    found = {
        (row["channel_id"], row["receiver_id"])
        for row in rows
        if row["one_in"] > sampling.coarsest(row["channel_id"], window.start_ms, window.end_ms)
    }
    return arrays(sorted(found), "coarse_channels", "coarse_receivers")


def with_estimates(found: Computed, sampling: Sampling, window: Window) -> Computed:
    """Adds `one_in` and `estimated_messages` to the rows of channels."""
    channels: list[Row] = []
    for row in found.channels:
        one_in = sampling.coarsest(row["channel_id"], window.start_ms, window.end_ms)
        estimate = one_in * row["messages"]
        channels.append({**row, "one_in": one_in, "estimated_messages": estimate})
    # Placeholders: summarize.py derives the window's values from those of its channels.
    return Computed({**found.window, "one_in": 1, "estimated_messages": 0}, channels, found.groups)
