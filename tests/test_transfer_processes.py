"""A file that several processes import is stored and reported as one process would do it.

The batches are small here, so that small files have many.
"""

import asyncio
import base64
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.database import Database
from devtelemetry.store.locks import NAMESPACE, Lock
from devtelemetry.transfer import processes
from devtelemetry.transfer.exporting import export_samples
from devtelemetry.transfer.files import TransferError
from devtelemetry.transfer.importing import Imported, import_samples
from devtelemetry.transfer.processes import Storing, import_by_processes
from support.store import START, empty
from support.waiting import WAITING_HERE

BATCH = 40


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "BATCH_LINES", BATCH)


class Told:
    def __init__(self) -> None:
        self.rejected: list[tuple[int, str]] = []
        self.notes: list[str] = []

    def on_rejected(self, number: int, why: str) -> None:
        self.rejected.append((number, why))


def sample(number: int, **changes: Any) -> bytes:
    """The line of sample `number`; three receivers hold each message; `...` removes a field."""
    message, receiver = divmod(number, 3)
    values: dict[str, Any] = {
        "messageId": f"m{message}",
        "channelId": f"c{message % 5}",
        "receiverPublicKey": f"k{receiver}",
        "installationId": f"i{receiver}",
        "sentAt": START + message,
        "createdAt": START + message + 2_000 + receiver,
        "sequence": message + 1,
    } | changes
    return json.dumps({k: v for k, v in values.items() if v is not ...}).encode() + b"\n"


async def by_processes(
    database: Database,
    lines: Iterator[bytes],
    told: Told,
    tmp_path: Path,
    *,
    on_batch: Callable[[], None] = lambda: None,
) -> Imported:
    return await import_by_processes(
        database,
        lines,
        Storing(database.url, tmp_path, AgeLimits(), SettleRule(), now_ms),
        2,
        on_rejected=told.on_rejected,
        on_note=told.notes.append,
        on_batch=on_batch,
    )


async def by_one(database: Database, lines: Iterator[bytes], told: Told) -> Imported:
    return await import_samples(
        database,
        lines,
        AgeLimits(),
        SettleRule(),
        now_ms=now_ms,
        on_rejected=told.on_rejected,
        on_note=told.notes.append,
    )


async def exported(database: Database) -> bytes:
    return b"".join([piece async for piece in export_samples(database)])


def odd_file() -> list[bytes]:
    """Good lines around bad ones, messages in two batches, and lines that come twice."""
    lines = [sample(number) for number in range(5 * BATCH + 7)]
    for number in range(0, len(lines), 9):
        lines[number] = (
            b"no sample\n",
            b"\n",
            b"[" * 5_000 + b"\n",
            sample(number, sentAt=10**30),
            sample(number, mood="good"),
            sample(number, outcome="unreadable", reason="no_session_key"),
            b"\xef\xbb\xbf" + sample(number),
        )[number // 9 % 7]
    unreported = sample(0, messageId="unreported", createdAt=None, sentByReceiver=True)
    mark = sample(4, receiverPublicKey="author", createdAt=None, sentByReceiver=True, sequence=...)
    return [unreported, mark, *lines, *lines[: BATCH // 2]]


async def test_several_processes_store_and_tell_what_one_does(
    database: Database, tmp_path: Path
) -> None:
    one, several = Told(), Told()
    expected = await by_one(database, iter(odd_file()), one)
    text = await exported(database)
    assert expected.imported > 4 * BATCH
    assert expected.duplicates > 0
    assert expected.rejected > 10
    await empty(database)
    assert await by_processes(database, iter(odd_file()), several, tmp_path) == expected
    assert await exported(database) == text
    assert several.rejected == one.rejected
    assert several.notes == one.notes
    again = await by_processes(database, iter(odd_file()), Told(), tmp_path)
    assert again.imported == 0
    assert await exported(database) == text


async def test_rules_of_sampling_hold_for_the_samples_after_them_at_whoever_stores_them(
    database: Database, tmp_path: Path
) -> None:
    def rule(salt: bytes, one_in: int) -> bytes:
        values = {"samplingSalt": base64.b64encode(salt).decode(), "oneIn": one_in, "from": START}
        return json.dumps(values).encode() + b"\n"

    samples = [sample(number, sentAt=START + number // 3 + 1) for number in range(6 * BATCH)]
    lines = [rule(b"salt", 8), *samples]
    one, several = Told(), Told()
    expected = await by_one(database, iter(lines), one)
    assert 0 < expected.imported < 3 * BATCH
    text = await exported(database)
    await empty(database)
    async with database.acquire() as connection:
        await connection.execute("update deployment set sampling_salt = 'another'")
    assert await by_processes(database, iter(lines), several, tmp_path) == expected
    assert await exported(database) == text
    assert several.notes == one.notes
    with pytest.raises(TransferError, match="samplingSalt: the file and this database"):
        await by_processes(database, iter([rule(b"other", 8), *samples]), Told(), tmp_path)


async def test_what_comes_before_the_damage_of_a_file_is_stored_by_all(
    database: Database, tmp_path: Path
) -> None:
    def cut() -> Iterator[bytes]:
        for number in range(3 * BATCH + 5):
            yield sample(number)
        raise TransferError("cut.gz cannot be read after line 125: cut")

    with pytest.raises(TransferError, match=r"cut\.gz"):
        await by_processes(database, cut(), Told(), tmp_path)
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from receipt") == 3 * BATCH + 5


async def test_all_lines_are_stored_though_connections_are_lost(
    database: Database, database_url: str, tmp_path: Path
) -> None:
    lines = [sample(number) for number in range(8 * BATCH)]
    told = Told()
    killed = 0
    other = await asyncpg.connect(database_url)
    await other.execute("select pg_advisory_lock($1, $2)", NAMESPACE, Lock.INGEST)

    async def kill_who_waits() -> None:
        nonlocal killed
        while killed < 2:
            killed += await other.fetchval(
                f"select count(pg_terminate_backend(pid)) from {WAITING_HERE} "
                "and locktype = 'advisory' and objid = $1",
                int(Lock.INGEST),
            )
            await asyncio.sleep(0.05)
        await other.execute("select pg_advisory_unlock($1, $2)", NAMESPACE, Lock.INGEST)

    async with asyncio.timeout(120):
        storing = asyncio.to_thread(asyncio.run, _apart(database, lines, told, tmp_path))
        _, found = await asyncio.gather(kill_who_waits(), storing)
    await other.close()
    assert killed >= 2
    assert found == Imported(imported=len(lines))
    assert any("the import tries again" in note for note in told.notes)


async def _apart(database: Database, lines: list[bytes], told: Told, tmp_path: Path) -> Imported:
    """Imports in an event loop of its own, which is blocked while processes store."""
    async with Database(database.url) as own:
        return await by_processes(own, iter(lines), told, tmp_path)


async def test_a_process_that_dies_ends_the_import_and_importing_again_completes_it(
    database: Database, tmp_path: Path
) -> None:
    lines = [sample(number) for number in range(6 * BATCH)]

    def kill_one() -> None:
        children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
        for child in children:
            if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(int(child), signal.SIGKILL)

    with pytest.raises(DevTelemetryError, match="import the same file again"):
        await by_processes(database, iter(lines), Told(), tmp_path, on_batch=kill_one)
    async with database.acquire() as connection:
        before = await connection.fetchval("select count(*) from receipt")
    assert 0 < before < len(lines)
    again = await by_processes(database, iter(lines), Told(), tmp_path)
    assert again.imported + again.duplicates == len(lines)
    assert again.imported == len(lines) - before
