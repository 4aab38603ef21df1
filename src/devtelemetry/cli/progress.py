"""Progress bars on stderr, only if it is a terminal. They disappear at the end."""

import contextlib
import sys
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)


@contextlib.contextmanager
def bytes_bar(name: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many bytes are done. total: None if not known."""
    columns = DownloadColumn(binary_units=True), TransferSpeedColumn(), TimeRemainingColumn()
    with _bar(name, total, *columns) as advance:
        yield advance


@contextlib.contextmanager
def count_bar(name: str, total: int) -> Iterator[Callable[[int], None]]:
    """Yields a function that takes how many items are done."""
    with _bar(name, total, MofNCompleteColumn(), TimeRemainingColumn()) as advance:
        yield advance


@contextlib.contextmanager
def _bar(name: str, total: int | None, *columns: ProgressColumn) -> Iterator[Callable[[int], None]]:
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = Progress(
        BarColumn(),
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,  # lines on stderr go above the bar, results stay on stdout
    )
    with bar:
        task = bar.add_task(name, total=total)
        yield lambda done: bar.update(task, completed=done)
