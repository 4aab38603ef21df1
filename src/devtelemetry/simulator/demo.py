"""The command `demo`: a server on a temporary database, a week of history, and nodes that talk now.

The server is started by `serve`. The nodes are real client libraries in processes of their own. The
week is imported as `import` does, so that there is something to look at, and the server computes
its hours and days. This module computes the live minutes, as `aggregate --window-start` does. The
server cannot: with that timeframe it would first compute the ten thousand minutes of the week.
"""

import asyncio
import contextlib
import functools
import signal
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from devtelemetry.aggregate.compute import compute_one
from devtelemetry.aggregate.due import is_due
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    Timeframe,
    from_unix_ms,
    parse_moment,
    parse_timeframe,
    window_starting,
)
from devtelemetry.model.errors import DevTelemetryError, Unavailable
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.simulator.board import Board
from devtelemetry.simulator.compare import Comparison, compare
from devtelemetry.simulator.fetch import fetch_report
from devtelemetry.simulator.history import history_lines
from devtelemetry.simulator.loss import LOSS_MODELS, NEWEST_VERSION, LossModel
from devtelemetry.simulator.node import Account, Target
from devtelemetry.simulator.run import run_world
from devtelemetry.simulator.server import ServeProcess
from devtelemetry.simulator.spec import Spec, World
from devtelemetry.simulator.truth import truth_document
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from devtelemetry.store.embedded import EmbeddedServer
from devtelemetry.transfer.importing import import_samples

_MINUTE = parse_timeframe("1m")
_HOUR = parse_timeframe("1h")
_DAY = parse_timeframe("1d")
_RULES = AggregateRules(timeframes=(_MINUTE,))

_HISTORY_DAYS = 7
_CHANNELS = 12  # an interval over channels needs ten
# So that there is a problem to find: in the last hours, receivers with the newest version lose
# more, by so many times the loss that was asked for.
_FAULT_MS = 8 * HOUR_MS
_TIMES_MORE = 4.0
_BEGIN_MS = 4_000  # from the start of the processes to the first message
_LEAST_TALK = timedelta(seconds=15)  # a minute with a shorter talk gets no figure
# A minute is first computed so long after its end. Clients push every two seconds, with a heartbeat
# every five. Slower reports are missing at first: of an app that starts again, for example.
_AFTER_ITS_END = timedelta(seconds=15)
_AT_LAST = timedelta(seconds=25)  # a minute is printed then, even if its figures still change
_OFFLINE_MS = 10_000  # at a time, on average
_FOLLOWED = timedelta(minutes=3)  # a minute is computed again for so long, with late reports
_LOOK_SECONDS = 2.0
_HISTORY_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class DemoRequest:
    """The options of the command."""

    nodes: int
    loss_model: str
    loss: float
    seed: int
    span: timedelta
    http_listen: str


def demo(asked: DemoRequest) -> None:
    """Runs until SIGINT, SIGTERM or SIGHUP, or until its span is over. Leaves nothing behind."""
    asyncio.run(_interruptible(asked))


async def _interruptible(asked: DemoRequest) -> None:
    work = asyncio.ensure_future(_demo(asked))
    loop = asyncio.get_running_loop()
    ended = False

    def end() -> None:
        nonlocal ended
        if not ended:  # a second signal would cut the clean-up short
            ended = True
            work.cancel()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # SIGHUP: the terminal is closed
        loop.add_signal_handler(number, end)
    try:
        await work
    except asyncio.CancelledError:
        if not ended:
            raise


async def _demo(asked: DemoRequest) -> None:
    board = Board()
    with (
        board.shown(),
        TemporaryDirectory(prefix="devtelemetry-demo-") as directory,
        ServeProcess(
            Path(directory) / "data",
            "--timeframes=1h,1d",
            "--job-interval=2s",
            "--log-level=warning",
            http_listen=asked.http_listen,
        ) as server,
    ):
        board.begin("starting a server on a temporary database")
        await asyncio.to_thread(server.wait_until_ready)
        url = f"http://{server.http}"
        board.address = f"{url}/"
        board.done(f"the server listens: open {board.address}")

        board.begin("starting the nodes")
        live = await asyncio.to_thread(make_world, _live_spec(asked))
        async with _talking(live, server.grpc) as talking, _database(server.data_dir) as database:
            board.done(
                f"{len(live.nodes)} nodes in {len(live.channels)} channels begin to send messages"
            )
            history = asyncio.create_task(_make_history(asked, board, database, url))
            try:
                await _watch(board, database, url, live, talking, history)
            finally:
                history.cancel()
                await asyncio.wait([history])
    board.done("the demo ends")


def _faulty(loss: LossModel, more: float) -> LossModel:
    """The model `loss`, but receivers with the newest version lose a further share `more`."""
    as_before = loss.by_version.get(NEWEST_VERSION, 0.0)
    return replace(loss, by_version={**loss.by_version, NEWEST_VERSION: min(1.0, as_before + more)})


def _live_spec(asked: DemoRequest) -> Spec:
    start_ms = now_ms() + _BEGIN_MS
    return Spec(
        seed=asked.seed,
        start_ms=start_ms,
        end_ms=start_ms + asked.span // timedelta(milliseconds=1),
        loss=_faulty(LOSS_MODELS[asked.loss_model](asked.loss), _TIMES_MORE * asked.loss),
        lead_ms=0,
        burst_ms=_OFFLINE_MS,
        nodes=asked.nodes,
        channels=_CHANNELS,
        messages_per_hour=600,
        crashes=1,
        label="",
    )


def _history_spec(asked: DemoRequest) -> Spec:
    end_ms = now_ms()
    loss = LOSS_MODELS[asked.loss_model](asked.loss)
    return Spec(
        seed=asked.seed,
        start_ms=(end_ms // DAY_MS - _HISTORY_DAYS) * DAY_MS,
        end_ms=end_ms,
        loss=loss,
        fault=_faulty(loss, _TIMES_MORE * asked.loss),
        fault_from_ms=end_ms // HOUR_MS * HOUR_MS - _FAULT_MS,
        lead_ms=HOUR_MS,
        burst_ms=1_800_000,
        nodes=asked.nodes,
        channels=_CHANNELS,
        messages_per_hour=6,
        label="",
    )


@contextlib.asynccontextmanager
async def _talking(world: World, server: str) -> AsyncIterator["asyncio.Task[list[Account]]"]:
    """Runs the nodes, in a thread and its processes, until the block is left."""
    stop = threading.Event()
    run = functools.partial(run_world, world, Target(server), is_live=True, stop=stop)
    talking = asyncio.create_task(asyncio.to_thread(run))
    try:
        yield talking
    finally:
        stop.set()
        await talking


@contextlib.asynccontextmanager
async def _database(data_dir: Path) -> AsyncIterator[Database]:
    """The server's database. The environment is ignored, because it may name another one."""
    server = EmbeddedServer(data_dir)
    try:
        await asyncio.to_thread(server.start)
        async with Database(server.url) as database:
            yield database
    finally:
        await asyncio.to_thread(server.stop)


# ------------------------------------------------------------------------------------ the week


async def _make_history(asked: DemoRequest, board: Board, database: Database, url: str) -> None:
    board.begin("making a week of history")
    world = await asyncio.to_thread(make_world, _history_spec(asked))
    rejected: list[str] = []
    imported = await import_samples(
        database,
        history_lines(world, now_ms()),
        AgeLimits(),
        SettleRule(),
        now_ms=now_ms,
        on_rejected=lambda _, why: rejected.append(why),
        on_note=lambda _: None,
    )
    if rejected:
        raise DevTelemetryError(f"{len(rejected)} samples were rejected; the first: {rejected[0]}")
    board.begin(f"computing a week of {imported.imported:,} samples")
    hours = await _computed(world, _HOUR, url)
    days = await _computed(world, _DAY, url)
    board.done(
        f"a week: {imported.imported:,} samples, {len(hours)} hours (off by "
        f"{_mean_difference(hours):.2f} points), {len(days)} days"
    )
    board.show_history(days)


async def _computed(world: World, timeframe: Timeframe, url: str) -> list[Comparison]:
    """Waits until the server has computed all due windows; compares them with the truth."""
    truth = await asyncio.to_thread(truth_document, world, timeframe)
    now = utc_now()
    truth["windows"] = [
        window
        for window in truth["windows"]
        if is_due(timeframe, window_starting(timeframe, parse_moment(window["start"])), now)
    ]
    due = {window["start"] for window in truth["windows"]}
    deadline = time.monotonic() + _HISTORY_SECONDS
    while time.monotonic() < deadline:
        report = await _report(truth, url)
        if due <= {window["start"] for window in report["windows"]}:
            return [one for one in compare(truth, report) if one.channel_id is None]
        await asyncio.sleep(0.5)
    raise DevTelemetryError(
        f"the server did not compute the week's {timeframe.name} windows in "
        f"{_HISTORY_SECONDS:.0f} s; try again on a machine that is less busy"
    )


async def _report(truth: Mapping[str, Any], url: str) -> dict[str, Any]:
    """The server's figures for the windows of a truth."""
    windows = truth["windows"]
    return await asyncio.to_thread(
        fetch_report, url, truth["timeframe"], windows[0]["start"], windows[-1]["end"]
    )


def _mean_difference(comparisons: Sequence[Comparison]) -> float:
    """The mean of the absolute differences, in percentage points."""
    found = [abs(one.difference) for one in comparisons if one.difference is not None]
    return 100 * sum(found) / len(found) if found else 0.0


# ------------------------------------------------------------------------------------- minutes


async def _watch(
    board: Board,
    database: Database,
    url: str,
    world: World,
    talking: "asyncio.Task[list[Account]]",
    history: "asyncio.Task[None]",
) -> None:
    """Computes and shows each minute some seconds after its end, until the nodes have ended."""
    truth = await asyncio.to_thread(truth_document, world, _MINUTE)
    all_windows = [window for window in truth["windows"] if _is_worth_it(world, window)]
    minutes = LiveMinutes(board)
    while not (talking.done() or (history.done() and history.exception())):
        now = utc_now()
        ended = [w for w in all_windows if parse_moment(w["end"]) + _AFTER_ITS_END <= now]
        for window in ended:
            if now < parse_moment(window["end"]) + _FOLLOWED:
                # If the server computes its own windows just now, the next look is soon enough.
                with contextlib.suppress(Unavailable):
                    start = parse_moment(window["start"])
                    await compute_one(database, _RULES, _MINUTE, start, now=utc_now)
        if ended:
            truth["windows"] = ended
            minutes.look(compare(truth, await _report(truth, url)), utc_now())
        await asyncio.sleep(_LOOK_SECONDS)
    for ending in (history, talking):
        if ending.done():
            await ending  # raises the error that ended it


def _is_worth_it(world: World, window: Mapping[str, Any]) -> bool:
    """Whether the nodes talk long enough in a window: they may begin or end in the middle of it."""
    talk = min(parse_moment(window["end"]), from_unix_ms(world.spec.until_ms)) - max(
        parse_moment(window["start"]), from_unix_ms(world.spec.begin_ms)
    )
    return talk >= _LEAST_TALK


class LiveMinutes:
    """The live minutes on the board; each is printed once its figures stay the same.

    While the machine is busy with the week, the reports of a minute may come late.
    """

    def __init__(self, board: Board) -> None:
        self._board = board
        self._told: set[str] = set()
        self._before: Mapping[str, Comparison] = {}  # start of a minute → its figures at last look

    def look(self, found: Sequence[Comparison], now: datetime) -> None:
        measured = [one for one in found if one.measured is not None]
        wholes = {one.start: one for one in measured if one.channel_id is None}
        news = [
            one
            for start, one in wholes.items()
            if start not in self._told
            and (
                one == self._before.get(start)
                or parse_moment(start) + _MINUTE.length + _AT_LAST <= now
            )
        ]
        self._before = wholes
        if news and not self._told:
            self._board.done("the first live minute is measured")
        self._told.update(one.start for one in news)
        if measured:
            self._board.show_live(measured, news)
