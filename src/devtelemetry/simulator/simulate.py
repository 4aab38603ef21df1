"""The command `simulate`: runs a world against a server."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from devtelemetry.model import Timeframe, unix_ms, window_at
from devtelemetry.simulator.compare import compare
from devtelemetry.simulator.fetch import fetch_report
from devtelemetry.simulator.loss import LOSS_MODELS
from devtelemetry.simulator.node import Account, Target
from devtelemetry.simulator.run import SimulationError, run_world
from devtelemetry.simulator.show import comparison_table, stages_table
from devtelemetry.simulator.spec import WIND_DOWN_MS, Spec, World
from devtelemetry.simulator.truth import truth_document
from devtelemetry.simulator.world import make_world
from devtelemetry.words import percent

_START_MS = 10_000  # so that the nodes' processes run before the first message is sent
_LIVE_LEAD_MS = 30_000
_COMPRESSED_LEAD_MS = 15 * 60_000


@dataclass(frozen=True, slots=True)
class SimulationRequest:
    """The options of the command; Spec explains those of the world.

    timeframe  of the windows of the truth
    span       what is measured: a whole number of windows
    """

    target: Target
    seed: int
    nodes: int
    channels: int
    messages_per_hour: float
    timeframe: Timeframe
    span: timedelta
    loss_model: str
    loss: float
    report_loss: float
    outsiders: float
    crashes: int
    is_live: bool
    truth: Path | None
    compare_url: str | None
    compare_token: str | None


def simulate(asked: SimulationRequest, now: datetime) -> None:
    """Writes the truth, runs the world, and prints a summary. Raises SimulationError."""
    world = make_world(make_spec(asked, now))
    truth = truth_document(world, asked.timeframe)
    if asked.truth is not None:
        # Before the run, so that a file that cannot be written is an error at once.
        asked.truth.write_text(json.dumps(truth, indent=1) + "\n", encoding="utf-8")
    with _progress(len(world.operations)) as on_progress:
        accounts = run_world(
            world,
            asked.target,
            is_live=asked.is_live,
            on_progress=on_progress,
        )
    _check_taken(accounts)
    sys.stdout.write(f"{summary(asked, world, truth, accounts)}\n")
    if asked.compare_url is not None:
        _show_comparison(asked, truth, asked.compare_url)


def make_spec(asked: SimulationRequest, now: datetime) -> Spec:
    """The Spec of a request; its time is the latest whole windows, or begins soon if live."""
    lead_ms = _LIVE_LEAD_MS if asked.is_live else _COMPRESSED_LEAD_MS
    if asked.is_live:
        earliest = now + timedelta(milliseconds=_START_MS + lead_ms)
        start_ms = unix_ms(window_at(asked.timeframe, earliest).end)
    else:
        latest = now - timedelta(milliseconds=lead_ms + WIND_DOWN_MS)
        start_ms = unix_ms(window_at(asked.timeframe, latest).start - asked.span)
    return Spec(
        seed=asked.seed,
        start_ms=start_ms,
        end_ms=start_ms + asked.span // timedelta(milliseconds=1),
        loss=LOSS_MODELS[asked.loss_model](asked.loss),
        lead_ms=lead_ms,
        burst_ms=20_000 if asked.is_live else 5 * 60_000,
        nodes=asked.nodes,
        channels=asked.channels,
        messages_per_hour=asked.messages_per_hour,
        outsiders=asked.outsiders,
        crashes=asked.crashes,
        cut_off=asked.report_loss,
        # A wiped installation does not report after a window's end. In compressed time all its
        # reports are recorded now, after that end, so it would seem to report.
        wiped=0.3 if asked.is_live else 0.0,
    )


def summary(
    asked: SimulationRequest, world: World, truth: dict[str, Any], accounts: list[Account]
) -> str:
    windows = truth["windows"]
    expected = sum(window["expected"] for window in windows)
    delivered = sum(window["delivered"] for window in windows)
    since = f" from {windows[0]['start']}" if windows else ""
    taken = sum(account.acknowledged for account in accounts)
    lost = sum(account.dropped for account in accounts)
    return (
        f"{len(world.nodes)} nodes, {len(world.channels)} channels, {len(windows)} × "
        f"{asked.timeframe.name}{since}: {delivered:,} of {expected:,} pairs delivered "
        f"({percent(delivered / expected if expected else None)}); {taken:,} reports taken by "
        f"{asked.target.server}, {lost:,} lost on the devices"
    )


def _check_taken(accounts: list[Account]) -> None:
    left = [account for account in accounts if account.left]
    if left:
        raise SimulationError(
            f"{sum(account.left for account in left)} samples of {len(left)} nodes were not "
            f"accepted; the first node reports: {left[0].problem or 'refused'}"
        )


def _show_comparison(asked: SimulationRequest, truth: dict[str, Any], url: str) -> None:
    windows = truth["windows"]
    if not windows:
        return
    report = fetch_report(
        url,
        asked.timeframe.name,
        windows[0]["start"],
        windows[-1]["end"],
        asked.compare_token,
        tls_ca=asked.target.tls_ca,
    )
    comparisons = compare(truth, report)
    console = Console(highlight=False)
    console.print(comparison_table("Measured beside true", comparisons))
    wholes = [one for one in comparisons if one.channel_id is None]
    if any(one.measured for one in wholes):
        console.print()
        console.print(stages_table({"": wholes}))
    missing = [c.start for c in comparisons if c.channel_id is None and c.measured is None]
    if missing:
        sys.stderr.write(
            f"the server has no figures for {len(missing)} of the windows yet; to compute the "
            f"first: devtelemetry aggregate --timeframe {asked.timeframe.name} --window-start "
            f"{missing[0]}\n"
        )


@contextmanager
def _progress(operations: int) -> Iterator[Callable[[int], None]]:
    """Shows a bar on a terminal; yields the function that moves it."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    bar = Progress(
        TextColumn("simulating"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    with bar:
        task = bar.add_task("", total=operations)
        yield lambda done: bar.update(task, completed=done)
