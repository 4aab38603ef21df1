"""What the demo shows: a page that is drawn anew on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from devtelemetry.simulator.compare import Comparison
from devtelemetry.simulator.show import comparison_line, comparison_table, stages_line, stages_table

_SHOWN_WINDOWS = 5
_DRAWN_A_SECOND = 4


class Board:
    """`with` shows it. Seconds are since it was made."""

    def __init__(self, address: str = "") -> None:
        self._started = time.monotonic()
        self._is_drawn = sys.stdout.isatty()
        self._done: list[Text] = []
        self._under_way = ""
        self._history: list[RenderableType] = []
        self._live: list[RenderableType] = []
        self._spans: dict[str, Sequence[Comparison]] = {}
        self.address = address

    @contextmanager
    def shown(self) -> Iterator[None]:
        if not self._is_drawn:
            yield
            return
        with Live(
            get_renderable=self._page,
            console=Console(highlight=False),
            refresh_per_second=_DRAWN_A_SECOND,
        ):
            yield

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def begin(self, what: str) -> None:
        """Says what is under way."""
        self._under_way = what

    def done(self, what: str) -> None:
        """Says what is there now."""
        self._under_way = ""
        line = f"{self.seconds:6.1f} s  {what}"
        self._done.append(Text(line))
        self._print(line)

    def show_history(self, days: Sequence[Comparison]) -> None:
        self._history = [comparison_table("The week before, by day", days)]
        self._spans["week"] = days
        for day in days:
            self._print(f"day {comparison_line(day)}")
            self._print(f"day {day.start} {stages_line(day)}")

    def show_live(self, comparisons: Sequence[Comparison], news: Sequence[Comparison]) -> None:
        """All live windows that are measured, and those that were not shown before."""
        windows = [one for one in comparisons if one.channel_id is None][-_SHOWN_WINDOWS:]
        channels = [one for one in comparisons if one.channel_id and one.start == windows[-1].start]
        self._spans["minute"] = windows[-1:]
        self._live = [
            comparison_table("Live, by minute", windows),
            comparison_table("The channels of the latest minute", channels),
        ]
        for one in news:
            self._print(f"minute {comparison_line(one)}")
            self._print(f"minute {one.start} {stages_line(one)}")

    def _page(self) -> Group:
        parts: list[RenderableType] = [
            Text.assemble(
                ("Dev-Telemetry demo", "bold"),
                f"  {self.address}  Ctrl-C ends it, and nothing remains",
            ),
            Text(),
            *self._done,
        ]
        if self._under_way:
            parts.append(Text(f"{self.seconds:6.1f} s  {self._under_way} …", style="dim"))
        stages = [stages_table(self._spans)] if self._spans else []
        for table in (*self._live, *stages, *self._history):
            parts += [Text(), table]
        return Group(*parts)

    def _print(self, line: str) -> None:
        if not self._is_drawn:
            sys.stdout.write(f"{line}\n")
            sys.stdout.flush()
