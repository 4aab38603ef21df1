"""A database that takes no writes for a while: nothing is lost, and no client sees a fault."""

from pathlib import Path

import asyncpg
import grpc
import pytest

from devtelemetry.model import MINUTE_MS
from devtelemetry.runtime.clock import now_ms
from support.asked import push, read, ready, until
from support.postgres import system_postgres
from support.server import ServerProcess

pytestmark = pytest.mark.slow


async def test_what_was_the_primary_takes_nothing_until_it_is_one_again(tmp_path: Path) -> None:
    with (
        system_postgres() as url,
        ServerProcess(tmp_path / "data", f"--database={url}", "--job-interval=1s") as server,
    ):
        assert push(server, 0, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
        admin = await asyncpg.connect(url)
        await admin.execute("alter system set default_transaction_read_only = on")
        await admin.execute("select pg_reload_conf()")
        until(lambda: ready(server)[0] == 503)
        assert "read-only" in ready(server)[1]
        assert push(server, 1, now_ms() - MINUTE_MS) is grpc.StatusCode.UNAVAILABLE
        # Reading still works.
        assert read(server, "/api/v1/reliability")[0] == 200

        await admin.execute("set default_transaction_read_only = off")
        await admin.execute("alter system reset default_transaction_read_only")
        await admin.execute("select pg_reload_conf()")
        await admin.close()
        until(lambda: push(server, 1, now_ms() - MINUTE_MS) is grpc.StatusCode.OK)
        until(lambda: ready(server)[0] == 200)
        assert "Traceback" not in server.log_path.read_text()


async def test_a_server_that_a_newer_one_overtook_takes_nothing_and_its_jobs_rest(
    tmp_path: Path,
) -> None:
    """As in a rolling upgrade: the new server migrates while the old one still runs."""
    with (
        system_postgres() as url,
        ServerProcess(tmp_path / "data", f"--database={url}", "--job-interval=1s") as server,
    ):
        assert push(server, 0, now_ms() - MINUTE_MS) is grpc.StatusCode.OK
        admin = await asyncpg.connect(url)
        # The old version must not write into the schema of a newer one.
        await admin.execute("update alembic_version set version_num = '9999'")
        assert push(server, 1, now_ms() - MINUTE_MS) is grpc.StatusCode.UNAVAILABLE
        status, text = ready(server)
        assert status == 503
        assert "schema 9999" in text
        assert await admin.fetchval("select count(*) from receipt") == 1
        until(lambda: "schema 9999" in server.log_path.read_text())
        assert "Traceback" not in server.log_path.read_text()
        await admin.close()
