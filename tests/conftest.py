"""A real PostgreSQL for the tests: started once, with a fresh clone of a database for each test.

DEVTELEMETRY_TEST_POSTGRES_URL names a server to use instead of the bundled one.
DEVTELEMETRY_TEST_CITUS_URL names a database on the coordinator of a Citus cluster; then each test's
database is on that cluster.
"""

import contextlib
import functools
import itertools
import os
import shutil
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import MappingProxyType
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling  # type: ignore[import-untyped]

from devtelemetry.settings.names import environment_name
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer
from support.citus import VARIABLE, citus_database, drop_citus_databases
from support.program import Run, in_process
from support.server import postmaster_pid

_numbers = itertools.count(1)
_MEMORY_BYTES = 4 * 2**30  # several times what a worker needs

# No deadline: the time of an example depends on how busy the machine is.
settings.register_profile("any", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Runs slow tests first, so that the workers share out short ones at the end."""
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)


class _Scheduling(LoadScopeScheduling):  # type: ignore[misc]
    """A test runs on any free worker, but all tests of some files run on the same one."""

    # The tests of these files share a server or a recording, which each worker would have to start
    # or read itself.
    _TOGETHER = frozenset(
        (
            "tests/client/test_faults.py",
            "tests/dashboard/test_everybody.py",
            "tests/dashboard/test_pages.py",
            "tests/desktop/test_opt_in.py",
            "tests/oracle/test_oracle_recordings.py",
            "tests/publish/test_stores.py",
            "tests/simulator/test_inject.py",
            "tests/simulator/test_run.py",
            "tests/test_vectors.py",
        )
    )

    _WITH = MappingProxyType(
        dict.fromkeys(
            (
                "tests/dashboard/test_channels.py",
                "tests/dashboard/test_charts.py",
                "tests/dashboard/test_subject_pages.py",
            ),
            "tests/dashboard/test_pages.py",
        )
    )

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        file = self._WITH.get(file, file)
        return file if file in self._TOGETHER else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> _Scheduling:
    return _Scheduling(config, log)


@pytest.fixture(scope="session")
def postgres_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a running server's maintenance database."""
    url = os.environ.get("DEVTELEMETRY_TEST_POSTGRES_URL")
    if url:
        yield url
        return
    with in_memory(tmp_path_factory) as directory, EmbeddedServer(directory) as server:
        # Waiting for the disk would take half of the time. Tests of what survives a crash start
        # servers of their own.
        with (directory / "postgres" / "postgresql.conf").open("a") as configuration:
            configuration.write(
                "fsync = off\nfull_page_writes = off\nmax_wal_size = 256MB\nmin_wal_size = 64MB\n"
            )
        os.kill(postmaster_pid(directory), signal.SIGHUP)
        yield server.url


@contextlib.contextmanager
def in_memory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A directory in memory, or on disk if memory is short; removed after the block.

    Memory saves time: each database has five hundred files, and each window makes a dozen.
    """
    shared = Path("/dev/shm")
    if shared.is_dir() and shutil.disk_usage(shared).free > _MEMORY_BYTES:
        with tempfile.TemporaryDirectory(prefix="devtelemetry-tests-", dir=shared) as directory:
            yield Path(directory) / "data"
    else:
        yield tmp_path_factory.mktemp("postgres")


def database_of(url: str, name: str) -> str:
    """The URL of another database of the same server."""
    parts = urlsplit(url)
    # urlunsplit() would drop the // of an empty host, which a socket's URL has.
    netloc = parts.netloc or "@"
    return urlunsplit((parts.scheme, netloc, f"/{name}", parts.query, ""))


@pytest_asyncio.fixture(scope="session")
async def template_name(postgres_url: str) -> AsyncIterator[str]:
    """A migrated database, from which the tests' databases are cloned."""
    name = f"devtelemetry_template_{os.getpid()}"
    await _execute(postgres_url, f"create database {name}")
    async with Database(database_of(postgres_url, name)):
        pass
    yield name
    cluster = os.environ.get(VARIABLE)
    if cluster:
        await drop_citus_databases(cluster)


@contextlib.asynccontextmanager
async def clone(postgres_url: str, template_name: str) -> AsyncIterator[str]:
    """The URL of a fresh, migrated database, dropped after the block."""
    cluster = os.environ.get(VARIABLE)
    if cluster:
        async with citus_database(cluster) as url:
            yield url
        return
    name = f"devtelemetry_test_{os.getpid()}_{next(_numbers)}"
    # Files are copied. The other strategy would also write each page to the log.
    await _execute(
        postgres_url, f"create database {name} template {template_name} strategy file_copy"
    )
    yield database_of(postgres_url, name)
    await _execute(postgres_url, f"drop database {name} with (force)")


@pytest_asyncio.fixture
async def database_url(postgres_url: str, template_name: str) -> AsyncIterator[str]:
    """A database for one test."""
    async with clone(postgres_url, template_name) as url:
        yield url


@pytest_asyncio.fixture(scope="module")
async def shared_database_url(postgres_url: str, template_name: str) -> AsyncIterator[str]:
    """A database that the tests of a module share."""
    async with clone(postgres_url, template_name) as url:
        yield url


@pytest_asyncio.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    async with Database(database_url) as opened:
        yield opened


@pytest.fixture
def plain_run(monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs the program in this process, without settings from the environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(environment_name(name), raising=False)
    return functools.partial(in_process, check=False)


@pytest.fixture
def run(plain_run: Run, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Run:
    """The same, on the test's own database."""
    monkeypatch.setenv("DEVTELEMETRY_DATABASE_URL", database_url)
    return plain_run


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()
