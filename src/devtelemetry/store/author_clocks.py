"""How far the clock of a message's author is off, by the stored receipts."""

from collections.abc import Collection, Mapping

from devtelemetry.store import whole
from devtelemetry.store.connection import Connection
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "author_clocks.sql", **whole.RECEIPT)


async def author_offsets(
    connection: Connection, messages: Collection[tuple[int, int, int]]
) -> Mapping[tuple[int, int], int]:
    """The server's clock minus the author's, in ms, by (channel_id, message_id). Only messages for
    which it is known to be a second or more.

    messages  (sent_at, channel_id, message_id) of each
    """
    if not messages:
        return {}
    rows = await connection.fetch(
        _QUERIES["offsets"], **arrays(sorted(messages), "sent_at", "channel_ids", "message_ids")
    )
    return {(row["channel_id"], row["message_id"]): row["author_offset"] for row in rows}
