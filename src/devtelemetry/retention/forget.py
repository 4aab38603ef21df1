"""Deletes the reports of one person or one installation for good, while others go on reporting.

1.  The receivers move to `forgotten_receiver`, and the numbers of their samples are deleted, while
    ingest waits for an instant. From then on the receivers count in no window, and ingest drops
    samples that still come from them.
2.  Their receipts are deleted, some thousand at a time, while ingest goes on. Receipts of messages
    that nobody else reports are deleted together with the message, while ingest waits for a moment.
3.  Their other rows are deleted, and last their rows in `forgotten_receiver`.

If it breaks off, the rows in `forgotten_receiver` show what is left to do. The same call goes on
there, and so does the next cleaning. Stored figures stay: they are counts and name nobody.
"""

import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

from devtelemetry.model import HOUR_MS
from devtelemetry.model.errors import Busy
from devtelemetry.store import whole
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.locks import Lock, try_lock
from devtelemetry.store.partitions import day_start_ms, existing_days
from devtelemetry.store.repair import holding_ingest_out, raise_epoch, rewriting
from devtelemetry.store.sql import queries

BATCH_RECEIPTS = 5_000  # in one transaction: ingest waits no longer than for a group commit

_GREATEST_ID = 2**63 - 1
_KEY = ("sent_at", "channel_id", "message_id", "receiver_id")  # of a receipt
_QUERIES = queries(__package__, "forget.sql", first_said_at=whole.FIRST_SAID_AT, **whole.RECEIPT)
# Executed after the receipts are deleted, in this order.
_LAST = (
    *("delete_memberships", "delete_named", "delete_failures", "delete_unreadable_envelopes"),
    *("delete_envelope_events", "delete_of_installations", "release_receivers"),
)


async def forget_key(database: Database, public_key: str) -> int:
    """Deletes all reports of the receivers of `public_key`, on any installation.

    Samples that they push while it runs are dropped, later ones are stored. Returns how many
    samples were deleted. Raises Busy while another call deletes.
    """
    keyring = await database.keyring()
    owner_id = keyring.owner(public_key)
    async with database.acquire() as connection:
        async with holding_ingest_out(connection):
            await _take_receivers(connection, owner_id)
        return await _delete_pending(connection, owner_id)


async def forget_installation(database: Database, installation_id: str, *, now_ms: int) -> int:
    """The same for an installation that opts out. All that it still sends is dropped for good."""
    keyring = await database.keyring()
    hashed = keyring.installation(installation_id)
    async with database.acquire() as connection:
        # The lock waits for the transactions that looked for the opt-out before it was there.
        async with holding_ingest_out(connection):
            await connection.execute(
                _QUERIES["remember_opt_out"], installation_id=hashed, now_ms=now_ms
            )
            await _take_receivers(connection, hashed)
        return await _delete_pending(connection, hashed)


async def finish_forgetting(database: Database) -> None:
    """Finishes calls that died. Does nothing if another call is deleting."""
    async with (
        database.acquire() as connection,
        try_lock(connection, Lock.FORGET) as is_ours,
    ):
        if is_ours:
            rows = await connection.fetch(_QUERIES["all_pending"])
            await _delete_reported(connection, [row["receiver_id"] for row in rows])


async def _take_receivers(connection: Connection, hashed: int) -> None:
    taken = await connection.fetch(_QUERIES["take_receivers"], hashed_id=hashed)
    await connection.execute(_QUERIES["delete_numbers"], hashed_id=hashed)
    if taken:  # ingest remembers no receiver that the database does not have
        await raise_epoch(connection)


async def _delete_pending(connection: Connection, hashed: int) -> int:
    rows = await connection.fetch(_QUERIES["pending"], hashed_id=hashed)
    return await delete_taken(connection, [row["receiver_id"] for row in rows])


async def delete_taken(connection: Connection, receivers: Sequence[int]) -> int:
    """Deletes the reports of receivers that are in forgotten_receiver; returns how many samples.

    Raises Busy while another call deletes.
    """
    async with deleting(connection):
        return await _delete_reported(connection, receivers)


@contextlib.asynccontextmanager
async def deleting(connection: Connection) -> AsyncIterator[None]:
    """Raises Busy while another call deletes.

    One call at a time: if only two receivers report a message, and both were deleted at once, each
    call would leave the message to the other.
    """
    async with try_lock(connection, Lock.FORGET) as is_ours:
        if not is_ours:
            raise Busy(
                "samples of another receiver are being deleted; try again later",
                retry_after_seconds=5,
            )
        yield


async def _delete_reported(connection: Connection, receivers: Sequence[int]) -> int:
    """Returns how many samples were deleted."""
    if not receivers:
        return 0
    deleted = await delete_receipts(connection, receivers)
    for name in _LAST:
        await connection.execute(_QUERIES[name], receiver_ids=receivers)
    return deleted


async def delete_receipts(
    connection: Connection,
    receivers: Sequence[int],
    said_between: tuple[int, int] | None = None,
) -> int:
    """Deletes receipts, and messages that nobody reports any more; returns how many samples.

    said_between  only of messages that the receiver first reported in this span: Unix ms, half-open
    """
    deleted = 0
    alone: list[Any] = []
    async for receipts in _receipts_of(connection, receivers, said_between or (None, None)):
        shared = [receipt for receipt in receipts if receipt["is_shared"]]
        deleted += await connection.fetchval(_QUERIES["delete_receipts"], **_keys(shared))
        alone += [receipt for receipt in receipts if not receipt["is_shared"]]
        if len(alone) >= BATCH_RECEIPTS:
            deleted += await _delete_with_messages(connection, alone)
            alone = []
    if alone:
        deleted += await _delete_with_messages(connection, alone)
    return deleted


async def _receipts_of(
    connection: Connection,
    receivers: Sequence[int],
    said_between: tuple[int, int] | tuple[None, None],
) -> AsyncIterator[Sequence[Any]]:
    """Yields up to BATCH_RECEIPTS at a time, hour by hour, so that no statement reads for long.

    Cleaning would have to wait for such a statement before it drops a day, and ingest with it.
    """
    for day in sorted(await existing_days(connection)):
        for start in range(day_start_ms(day), day_start_ms(day + 1), HOUR_MS):
            after = (start - 1, _GREATEST_ID, _GREATEST_ID, _GREATEST_ID)
            while receipts := await connection.fetch(
                _QUERIES["receipts_of"],
                receiver_ids=receivers,
                **{f"after_{name}": value for name, value in zip(_KEY, after, strict=True)},
                end_ms=start + HOUR_MS,
                most_receipts=BATCH_RECEIPTS,
                since_ms=said_between[0],
                before_ms=said_between[1],
            ):
                yield receipts
                after = tuple(receipts[-1][name] for name in _KEY)


async def _delete_with_messages(connection: Connection, receipts: Sequence[Any]) -> int:
    keys = _keys(receipts)
    async with rewriting(connection):
        deleted: int = await connection.fetchval(_QUERIES["delete_receipts"], **keys)
        await connection.execute(
            _QUERIES["delete_orphaned_messages"],
            channel_ids=keys["channel_ids"],
            message_ids=keys["message_ids"],
        )
    return deleted


def _keys(receipts: Sequence[Any]) -> dict[str, list[int]]:
    sent_at, channel_ids, message_ids, receiver_ids = (
        [receipt[name] for receipt in receipts] for name in _KEY
    )
    return {
        "sent_at": sent_at,
        "channel_ids": channel_ids,
        "message_ids": message_ids,
        "receiver_ids": receiver_ids,
    }
