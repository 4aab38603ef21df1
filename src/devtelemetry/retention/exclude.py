"""Excludes the reports of a receiver when the operator knows that they are wrong.

The command writes them to a file first; `import` of that file restores them.
"""

from collections.abc import Sequence

from devtelemetry.model import MINUTE_MS, Hand
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.retention.forget import delete_receipts, delete_taken, deleting
from devtelemetry.store.database import Database
from devtelemetry.store.keyring import receiver_name
from devtelemetry.store.partitions import day_start_ms, existing_days
from devtelemetry.store.repair import holding_ingest_out, raise_epoch, rewriting
from devtelemetry.store.sql import queries

_QUERIES = queries(__package__, "exclude.sql")


async def receivers_of(database: Database, receiver_id: int, hand: Hand) -> Sequence[int]:
    """The receiver and those in the same `hand`. Raises ConfigurationError if it is not known."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            _QUERIES["receivers_of"], receiver_id=receiver_id, hand=hand.value
        )
    if not rows:
        raise ConfigurationError(
            f"there is no receiver {receiver_name(receiver_id)}; allowed: 16 hexadecimal digits, "
            "as `devtelemetry report missing` shows them"
        )
    return [row["receiver_id"] for row in rows]


async def receivers_of_token(database: Database, token: str) -> Sequence[int]:
    """The receivers whose latest push had this token. Raises ConfigurationError if none had it."""
    async with database.acquire() as connection:
        rows = await connection.fetch(_QUERIES["receivers_of_token"], token=token)
    if not rows:
        raise ConfigurationError(f"no receiver's latest push came with a token named {token}")
    return [row["receiver_id"] for row in rows]


async def take_out(database: Database, receivers: Sequence[int], *, now_ms: int) -> int:
    """Deletes all reports of these receivers, and has windows computed again without them.

    Samples that they push meanwhile are dropped, later ones are stored. Returns how many samples
    were deleted. Raises Busy while another call deletes.
    """
    async with database.acquire() as connection:
        async with holding_ingest_out(connection):
            await connection.fetch(_QUERIES["take_these"], receiver_ids=receivers)
            await connection.execute(_QUERIES["delete_numbers_of"], receiver_ids=receivers)
            await raise_epoch(connection)
        deleted = await delete_taken(connection, receivers)
        await connection.execute(
            _QUERIES["reopen_windows"], now_minute=now_ms // MINUTE_MS * MINUTE_MS
        )
    return deleted


async def take_out_since(
    database: Database, receivers: Sequence[int], said_between: tuple[int, int], *, now_ms: int
) -> int:
    """Like `take_out`, but only for messages that the receiver first reported in this span.

    said_between  Unix ms of the server's clock, half-open

    If a receiver had reported a message before, all its samples of that message stay. A receiver
    counts as silent from its last report that is left. The runs of numbers stay, too.
    """
    since_ms, before_ms = said_between
    async with database.acquire() as connection, deleting(connection):
        deleted = await delete_receipts(connection, receivers, said_between)
        async with rewriting(connection):
            await connection.execute(_QUERIES["delete_failures"], receiver_ids=receivers)
            for name in ("delete_unnamed", "delete_told", "delete_reports"):
                await connection.execute(
                    _QUERIES[name], receiver_ids=receivers, since_ms=since_ms, before_ms=before_ms
                )
            days = await existing_days(connection)
            await connection.execute(
                _QUERIES["respan"],
                receiver_ids=receivers,
                oldest_day_kept=day_start_ms(min(days)) if days else 0,
            )
            await connection.execute(_QUERIES["delete_unspanned"], receiver_ids=receivers)
            await connection.execute(_QUERIES["silence"], receiver_ids=receivers, since_ms=since_ms)
            await connection.execute(_QUERIES["doubt"], receiver_ids=receivers)
        await connection.execute(
            _QUERIES["reopen_windows"], now_minute=now_ms // MINUTE_MS * MINUTE_MS
        )
    return deleted
