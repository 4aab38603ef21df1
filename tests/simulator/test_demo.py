"""The demo as a process: what it shows, and that it leaves nothing behind."""

import io
import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from queue import Empty, Queue
from threading import Thread

import pytest
from rich.console import Console

from devtelemetry.model import Counts, parse_moment
from devtelemetry.simulator.board import Board
from devtelemetry.simulator.compare import Comparison, Figures
from devtelemetry.simulator.demo import LiveMinutes
from support.program import command
from support.server import wait_until_gone

pytestmark = pytest.mark.slow

SHOWN_SECONDS = 120.0  # as promised, from the start to the first live minute
END_SECONDS = 60.0


class Demo:
    """A demo with its own directory for temporary files; its lines are read as they are printed."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.directory = directory
        self._process = subprocess.Popen(
            command("demo", "--nodes=8", "--minutes=10"),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            # Settings of a real deployment, which the demo must not touch.
            env={
                **os.environ,
                "TMPDIR": str(directory),
                "DEVTELEMETRY_DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
                "DEVTELEMETRY_GRPC_LISTEN": "127.0.0.1:1",
            },
            text=True,
        )
        self._lines: Queue[str] = Queue()
        self._deadline = time.monotonic() + SHOWN_SECONDS
        Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.rstrip("\n"))

    def line_with(self, text: str) -> str:
        """The next line with the text, within the time that the demo has for all lines."""
        before: list[str] = []
        while True:
            try:
                line = self._lines.get(timeout=max(0.0, self._deadline - time.monotonic()))
            except Empty:
                raise AssertionError(f"no line with {text!r} in time, but {before}") from None
            if text in line:
                return line
            before.append(line)

    def end(self, number: signal.Signals) -> None:
        """Ends it by a signal; asserts that it removed all that it made and printed no error."""
        others = descendants(self._process.pid)
        assert others
        self._process.send_signal(number)
        assert self._process.wait(timeout=END_SECONDS) == 0
        assert self._process.stderr is not None
        assert self._process.stderr.read() == ""
        wait_until_gone(others)
        assert list(self.directory.iterdir()) == []

    def kill(self) -> None:
        """Kills it, whatever its state."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(timeout=END_SECONDS)


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    running = Demo(tmp_path / "temporary")
    try:
        yield running
    finally:
        running.kill()


def descendants(pid: int) -> list[int]:
    try:
        children = [
            int(child)
            for thread in Path(f"/proc/{pid}/task").iterdir()
            for child in (thread / "children").read_text().split()
        ]
    except OSError:
        return []
    return children + [pid for child in children for pid in descendants(child)]


def test_a_week_and_a_live_minute_are_measured_beside_true_within_two_minutes(demo: Demo) -> None:
    assert "open http://127.0.0.1:" in demo.line_with("the server listens")
    assert " samples, " in demo.line_with("a week")
    for kind in ("day", "minute"):
        line = demo.line_with(f"{kind} 20")
        # A minute has few pairs, and in the last hours more are lost, so ratios vary.
        assert re.search(r" true [1-9]\d\.\d\d %, measured [1-9]\d\.\d\d %.* pairs", line)
        assert "missing" in demo.line_with(f"{kind} 20")
    demo.end(signal.SIGINT)


def test_sigterm_ends_it_while_it_is_being_prepared(demo: Demo) -> None:
    demo.line_with("nodes in")
    demo.end(signal.SIGTERM)


@pytest.mark.parametrize(
    "looks",
    [[(4, 15), (8, 17), (8, 19), (8, 21)], [(4, 15), (5, 20), (6, 25), (7, 30)]],
    ids=["stands still", "changes to the last"],
)
def test_a_minute_is_told_once_at_its_third_look(
    looks: list[tuple[int, int]], capsys: pytest.CaptureFixture[str]
) -> None:
    """A minute is printed by its number of pairs and the seconds since its end."""
    start = "2026-03-02T10:00:00Z"
    end = parse_moment(start) + timedelta(minutes=1)
    minutes = LiveMinutes(Board())

    def is_told(expected: int, seconds: int) -> bool:
        true = Figures(Counts(9, 2, 8, 1, 8), 0.875, 0.875)
        measured = Figures(Counts(9, 2, expected, 1, expected), 1 - 1 / expected, 1 - 1 / expected)
        whole = Comparison(start, None, true, measured)
        minutes.look([whole], end + timedelta(seconds=seconds))
        return "minute 2026-03-02T10:00:00Z true 87.50 %" in capsys.readouterr().out

    assert [is_told(*look) for look in looks] == [False, False, True, False]


@pytest.mark.parametrize("height", [24, 30, 80])
def test_the_board_fits_a_terminal_and_shows_the_live_minutes_first(height: int) -> None:
    console = Console(width=80, height=height, file=io.StringIO())
    board = Board("http://127.0.0.1:40805/", console)
    for what in (
        "the server listens",
        "24 nodes in 12 channels begin to send messages",
        "measured",
        "a week",
    ):
        board.done(what)

    def made(start: str, channel: str | None = None) -> Comparison:
        figures = Figures(Counts(9_999, 24, 99_999, 9_999, 99_999), 0.9, 0.9)
        return Comparison(start, channel, figures, figures)

    minutes = [made(f"2026-03-02T10:0{minute}:00Z") for minute in range(8)]
    channels = [made(minutes[-1].start, f"channel-{number}") for number in range(12)]
    board.show_history([made(f"2026-02-2{day}T00:00:00Z") for day in range(1, 8)])
    board.show_live([*minutes, *channels], [])
    console.print(board._page())
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert len(lines) <= height
    assert max(map(len, lines)) <= 80
    text = "\n".join(lines)
    assert "2026-03-02 10:07" in text
    assert "2026-02-27" in text
    assert ("channel-11" in text) is (height == 80)
