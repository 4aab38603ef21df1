"""By how much the clock of a message's author is off, as the stored receipts tell."""

from collections.abc import Collection, Mapping

from devtelemetry.store import whole
from devtelemetry.store.connection import Connection
from devtelemetry.store.sql import arrays, queries

_QUERIES = queries(__package__, "author_clocks.sql", **whole.RECEIPT)


async def author_offsets(
    connection: Connection, messages: Collection[tuple[int, int, int]]
) -> Mapping[tuple[int, int], int]:
    """In ms, the server's clock less the author's, by (channel_id, message_id): where it is known
    to be a second or more.

    messages  (sent_at, channel_id, message_id) of each
    """
    if not messages:
        return {}
    rows = await connection.fetch(
        _QUERIES["offsets"], **arrays(sorted(messages), "sent_at", "channel_ids", "message_ids")
    )
    return {(row["channel_id"], row["message_id"]): row["author_offset"] for row in rows}
