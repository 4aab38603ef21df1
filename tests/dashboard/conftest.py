"""The browser's thread: Playwright keeps an event loop running in the thread it is used in, and so
it cannot be that of the asynchronous tests."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from playwright.sync_api import Browser

from support.browser import chromium

_THREAD = ThreadPoolExecutor(1, "browser")


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """To be used in tests alone, which then run in its thread."""
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
