"""What the demo shows: a page that is redrawn on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from devtelemetry.simulator.compare import Comparison
from devtelemetry.simulator.show import comparison_line, comparison_table, stages_line, stages_table

_SHOWN_WINDOWS = 5
_AROUND_ROWS = 4  # lines of a table beside its rows: one before it, title, head, rule
_LEAST_ROWS = 3  # a table is cut to no fewer rows
_DRAWN_A_SECOND = 4


class Board:
    """The board; `with board.shown()` shows it. Its seconds count from its construction."""

    def __init__(self, address: str = "", console: Console | None = None) -> None:
        self._started = time.monotonic()
        self._is_drawn = sys.stdout.isatty()
        self._done: list[Text] = []
        self._under_way = ""
        self._days: Sequence[Comparison] = ()
        self._minutes: Sequence[Comparison] = ()
        self._channels: Sequence[Comparison] = ()
        self._console = console or Console(highlight=False)
        self._spans: dict[str, Sequence[Comparison]] = {}
        self.address = address

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not self._is_drawn:
            yield
            return
        with Live(
            get_renderable=self._page,
            console=self._console,
            refresh_per_second=_DRAWN_A_SECOND,
        ):
            yield

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def begin(self, what: str) -> None:
        """Shows what is under way."""
        self._under_way = what

    def done(self, what: str) -> None:
        """Shows what was completed."""
        self._under_way = ""
        line = f"{self.seconds:6.1f} s  {what}"
        self._done.append(Text(line))
        self._print(line)

    def show_history(self, days: Sequence[Comparison]) -> None:
        self._days = days
        self._spans["week"] = days
        for day in days:
            self._print(f"day {comparison_line(day)}")
            self._print(f"day {day.start} {stages_line(day)}")

    def show_live(self, comparisons: Sequence[Comparison], news: Sequence[Comparison]) -> None:
        """Shows live windows.

        comparisons  of all measured live windows
        news         of windows that were not shown before
        """
        windows = [one for one in comparisons if one.channel_id is None][-_SHOWN_WINDOWS:]
        self._minutes = windows
        self._channels = [
            one for one in comparisons if one.channel_id and one.start == windows[-1].start
        ]
        self._spans["minute"] = windows[-1:]
        for one in news:
            self._print(f"minute {comparison_line(one)}")
            self._print(f"minute {one.start} {stages_line(one)}")

    def _page(self) -> Group:
        parts: list[RenderableType] = [
            Text.assemble(
                ("Dev-Telemetry demo", "bold"),
                f"  {self.address}  Ctrl-C ends it",
            ),
            Text(),
            *self._done,
        ]
        if self._under_way:
            parts.append(Text(f"{self.seconds:6.1f} s  {self._under_way} …", style="dim"))
        for table in self._fitting(self._console.height - len(parts)):
            parts += [Text(), table]
        return Group(*parts)

    def _fitting(self, lines: int) -> Iterator[Table]:
        """The tables that fit, with as many rows as fit; the first tables matter most."""
        for title, comparisons in (
            ("Live, by minute", self._minutes),
            ("The week before, by day", self._days),
        ):
            rows = min(len(comparisons), lines - _AROUND_ROWS)
            if rows >= min(len(comparisons), _LEAST_ROWS) > 0:
                yield comparison_table(title, comparisons[-rows:])
                lines -= rows + _AROUND_ROWS
        whole = [comparison_table("The channels of the latest minute", self._channels)]
        if self._spans:
            whole.insert(0, stages_table(self._spans))
        for table in whole:
            if 0 < table.row_count <= lines - _AROUND_ROWS:
                yield table
                lines -= table.row_count + _AROUND_ROWS

    def _print(self, line: str) -> None:
        if not self._is_drawn:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
