"""A month of figures, and a thread for the browser. Playwright keeps an event loop running in its
thread, so that thread cannot be the one of the asynchronous tests."""

from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest
import pytest_asyncio
from bench.months import Made, make_months
from playwright.sync_api import Browser

from conftest import database_of
from devtelemetry.store.database import Database
from support.browser import chromium
from support.month import channel_names
from support.server import ServerProcess

_THREAD = ThreadPoolExecutor(1, "browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """The browser. Only tests may use it, because they run in its thread, and fixtures do not."""
    opening = chromium()
    try:
        yield _THREAD.submit(opening.__enter__).result()
    finally:
        _THREAD.submit(opening.__exit__, None, None, None).result()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    if "browser" not in pyfuncitem.fixturenames:
        return None
    names = pyfuncitem._fixtureinfo.argnames
    arguments = {name: pyfuncitem.funcargs[name] for name in names}
    _THREAD.submit(pyfuncitem.obj, **arguments).result()
    return True


@pytest_asyncio.fixture(scope="session")
async def month_url(postgres_url: str) -> AsyncIterator[str]:
    """A database with a month of figures, made once."""
    connection = await asyncpg.connect(postgres_url)
    try:
        await connection.execute("create database dashboard_month")
        url = database_of(postgres_url, "dashboard_month")
        async with Database(url) as database:
            made = Made(channel_names(), datetime.now(UTC), timedelta(days=31))
            await make_months(database, made)
        yield url
        await connection.execute("drop database dashboard_month with (force)")
    finally:
        await connection.close()


@pytest.fixture(scope="session")
def month(month_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The origin of a server on that database."""
    data_dir = tmp_path_factory.mktemp("dashboard") / "data"
    with ServerProcess(data_dir, f"--database={month_url}") as server:
        yield f"http://{server.http}"
