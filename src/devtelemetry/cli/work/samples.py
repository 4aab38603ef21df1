"""Imports, exports, excludes and forgets samples."""

import contextlib
import os
from datetime import datetime
from pathlib import Path

from devtelemetry.cli.output import say, tell, write_all
from devtelemetry.cli.progress import bytes_bar
from devtelemetry.model import Hand, unix_ms
from devtelemetry.retention.exclude import (
    receivers_of,
    receivers_of_token,
    take_out,
    take_out_since,
)
from devtelemetry.retention.forget import forget_key
from devtelemetry.runtime.clock import now_ms
from devtelemetry.server import wiring
from devtelemetry.settings.settings import Settings
from devtelemetry.transfer.exporting import export_samples
from devtelemetry.transfer.files import InputFile
from devtelemetry.transfer.processes import Storing, import_by_processes

SHOWN_REJECTIONS = 20  # of one file; more would show nothing new


async def import_from(settings: Settings, path: str, workers: int) -> int:
    """Imports a file and prints what became of its lines; returns how many were rejected.

    workers  how many processes store the lines
    """
    shown = 0

    def on_rejected(number: int, why: str) -> None:
        nonlocal shown
        shown += 1
        if shown <= SHOWN_REJECTIONS:
            tell(f"line {number}: {why}")

    with InputFile(path) as file, bytes_bar("import", file.size_bytes) as advance:
        async with wiring.opened_database(settings) as database:
            result = await import_by_processes(
                database,
                file.lines(),
                Storing(
                    settings.database_url,
                    settings.data_dir,
                    wiring.age_limits(settings),
                    wiring.settle_rule(settings),
                    now_ms,
                ),
                workers,
                on_rejected=on_rejected,
                on_note=tell,
                on_batch=lambda: advance(file.position_bytes),
            )
    if result.rejected > SHOWN_REJECTIONS:
        tell(f"and {result.rejected - SHOWN_REJECTIONS} more lines")
    say(f"imported {result.imported}, duplicates {result.duplicates}, rejected {result.rejected}")
    return result.rejected


async def export(settings: Settings) -> None:
    async with (
        wiring.opened_database(settings) as database,
        contextlib.aclosing(export_samples(database)) as pieces,
    ):
        await write_all(pieces)


async def exclude(
    settings: Settings,
    receiver: int | None,
    hand: Hand,
    token: str,
    since: datetime | None,
    to: Path,
) -> None:
    said_between = None if since is None else (unix_ms(since), now_ms())
    async with wiring.opened_database(settings) as database:
        if receiver is None:
            receivers = await receivers_of_token(database, token)
        else:
            receivers = await receivers_of(database, receiver, hand)
        with to.open("xb") as file:
            async with contextlib.aclosing(
                export_samples(database, receivers, said_between)
            ) as pieces:
                async for piece in pieces:
                    file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        if said_between is None:
            deleted = await take_out(database, receivers, now_ms=now_ms())
        else:
            deleted = await take_out_since(database, receivers, said_between, now_ms=now_ms())
    say(
        f"took out {deleted} samples of {len(receivers)} "
        f"{'receiver' if len(receivers) == 1 else 'receivers'}; windows are computed again. "
        f"`devtelemetry import {to}` brings them back"
    )


async def forget(settings: Settings, key: str) -> None:
    async with wiring.opened_database(settings) as database:
        deleted = await forget_key(database, key)
    say(f"deleted {deleted}")
