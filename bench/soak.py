"""Honest load in real time while all attackers attack: what is lost, late or wrong."""

import argparse
import asyncio
import json
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import grpc
import httpx

from bench.checks import Watched, failures, in_log, watching
from bench.liars import Hand, are_silent, claims_everything, invents
from bench.machine import conditions
from bench.pushes import Push, pushes
from bench.report import Result, Table
from bench.shapes import encoded
from devtelemetry.model import MINUTE_MS, Timeframe, from_unix_ms, parse_timeframe
from devtelemetry.simulator.loss import LossModel
from devtelemetry.simulator.spec import Spec, World
from devtelemetry.simulator.truth import true_windows
from devtelemetry.simulator.world import make_world
from devtelemetry.v1 import PUSH, telemetry_pb2
from support.http_push import Connect
from support.program import command
from support.server import ServerProcess

NODES, LIARS = 190, 10  # so liars are a twentieth of all
PUSH_MS = 10_000
_LIAR = "liar"
_JSON = Connect("application/json", is_json=True)
_LOSS = LossModel(independent=0.03, offline=0.01)
_TRIES = 200
_LIES_AT_ONCE = 20


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=15.0, help="whole windows")
    parser.add_argument("--timeframe", default="5m")
    parser.add_argument(
        "--calm", type=float, default=0.2, help="share of the time before the attack"
    )


def run(options: argparse.Namespace) -> Result:
    about = conditions()
    with (
        tempfile.TemporaryDirectory(prefix="devtelemetry-bench-") as name,
        ServerProcess(
            Path(name) / "data",
            f"--timeframes={options.timeframe}",
            f"--allowed-lateness={options.timeframe}=1m",
            "--job-interval=10s",
            "--recompute-interval=1m",
            "--trusted-proxies=127.0.0.1",
            "--log-format=json",
        ) as server,
    ):
        soaked = asyncio.run(_soak(server, options))
        soaked.findings += failures(server)
        _compare(server, soaked)
        lines = server.log_path.read_text(encoding="utf-8").splitlines()
    soaked.findings += in_log(lines)
    return _result(options, about, soaked, len(lines))


@dataclass(slots=True)
class Soaked:
    calm_ms: list[float] = field(default_factory=list)  # until honest pushes were answered
    attacked_ms: list[float] = field(default_factory=list)
    again: Counter[str] = field(default_factory=Counter)  # honest pushes sent again, by reason
    refused: int = 0  # honest pushes that the server never took
    acknowledged: set[tuple[str, str]] = field(default_factory=set)  # message, installation
    windows: list[tuple[float, float]] = field(default_factory=list)  # true and measured
    lags: list[float] = field(default_factory=list)  # seconds that due windows waited
    watched: Sequence[Watched] = ()
    places: dict[str, float] = field(default_factory=dict)  # refused, by kind
    lost: int = 0
    twice: int = 0
    findings: list[str] = field(default_factory=list)


def _world(seed: int, timeframe: Timeframe, minutes: float) -> World:
    """A world of whole windows; the first begins in a minute or later."""
    span_ms = int(minutes * MINUTE_MS)
    length_ms = int(timeframe.length.total_seconds() * 1000)
    start_ms = -(-(time.time_ns() // 1_000_000 + 2 * MINUTE_MS) // length_ms) * length_ms
    return make_world(
        Spec(
            seed=seed,
            start_ms=start_ms,
            end_ms=start_ms + span_ms,
            lead_ms=MINUTE_MS,
            loss=_LOSS,
            nodes=NODES,
            messages_per_hour=240,
            joining=0.0,
            leaving=0.0,
            returning=0.0,
            restarts=0.0,
            crashes=0,
        )
    )


def _lies(world: World) -> list[Push]:
    """The pushes of liars that do not know each other, each from its own network."""
    found: list[Push] = []
    for number in range(LIARS):
        hand = Hand(f"liar {number}", "", f"203.0.{number}.1")
        if number % 3 == 0:
            found += invents(world, hands=(hand,), tag=f"by {number}")
        elif number % 3 == 1:
            found += are_silent(world, (hand,))
        else:
            found += claims_everything(world, hand)
    return [part for push in found for part in _promptly(push)]


def _promptly(push: Push) -> Iterator[Push]:
    """A push in parts, each soon after the messages in it were sent, as honest nodes push."""
    request = push.request
    request.reporter.app_version = _LIAR
    if not request.samples:
        yield push
    for first in range(0, len(request.samples), _LIES_AT_ONCE):
        part = telemetry_pb2.PushRequest()
        part.CopyFrom(request)
        del part.samples[:]
        part.samples.extend(request.samples[first : first + _LIES_AT_ONCE])
        part.first_sequence = request.first_sequence + first
        part.client_time = max(sample.sent_at for sample in part.samples) + PUSH_MS
        yield Push(part.client_time, part, push.address)


async def _soak(server: ServerProcess, options: argparse.Namespace) -> Soaked:
    timeframe, minutes = parse_timeframe(options.timeframe), options.minutes
    world, soaked = _world(options.seed, timeframe, minutes), Soaked()
    addresses = {node.public_key: f"10.0.{node.number}.1" for node in world.nodes}
    honest = [
        push._replace(address=addresses[push.request.reporter.receiver_public_key])
        for push in pushes(world, push_ms=PUSH_MS)
    ]
    found = sorted([*honest, *_lies(world)], key=lambda push: push.at_ms)
    attack_ms = world.spec.start_ms + int(options.calm * minutes * MINUTE_MS)
    with watching(server.pid) as soaked.watched:
        attacking = asyncio.create_task(_attack(server, attack_ms))
        lagging = asyncio.create_task(_note_lags(server, soaked))
        async with httpx.AsyncClient(base_url=f"http://{server.http}", timeout=60) as web:
            async with grpc.aio.insecure_channel(server.grpc) as channel:
                sender = _Sender(channel, web, soaked, attack_ms)
                async with asyncio.TaskGroup() as sending:
                    for push in found:
                        await _until(push.at_ms)
                        sending.create_task(sender.push(push))
            await _until(world.spec.end_ms + 5 * MINUTE_MS)  # for the lateness, and computations
            await _read(web, world, timeframe, soaked)
        lagging.cancel()
        attacking.cancel()
        await asyncio.gather(lagging, attacking, return_exceptions=True)
    return soaked


async def _until(at_ms: int) -> None:
    await asyncio.sleep(max(0.0, at_ms / 1000 - time.time()))


async def _attack(server: ServerProcess, attack_ms: int) -> None:
    await _until(attack_ms)
    addresses = json.dumps({"grpc": server.grpc, "http": server.http})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bench.attackers", addresses, stdin=subprocess.PIPE
    )
    try:
        await process.wait()
        raise AssertionError("the attackers gave up")
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


class _Sender:
    def __init__(
        self, channel: grpc.aio.Channel, web: httpx.AsyncClient, soaked: Soaked, attack_ms: int
    ) -> None:
        self._push: Any = channel.unary_unary(
            PUSH, response_deserializer=telemetry_pb2.PushResponse.FromString
        )
        self._web = web
        self._soaked = soaked
        self._attack_ms = attack_ms

    async def push(self, push: Push) -> None:
        """Pushes until the server takes it; notes the times of honest pushes."""
        is_honest = push.request.reporter.app_version != _LIAR
        begun = time.perf_counter()
        for _ in range(_TRIES):
            response, why = await self._try(push, by_http=push.at_ms % 4 == 0)
            if response is not None:
                break
            if is_honest:
                self._soaked.again[why] += 1
            await asyncio.sleep(0.5)
        took_ms = 1000 * (time.perf_counter() - begun)
        if not is_honest:
            return
        if response is None:
            self._soaked.refused += 1
            return
        is_calm = push.at_ms < self._attack_ms
        (self._soaked.calm_ms if is_calm else self._soaked.attacked_ms).append(took_ms)
        refused = {rejection.index for rejection in response.rejections}
        self._soaked.acknowledged.update(
            (sample.message_id, push.request.reporter.installation_id)
            for index, sample in enumerate(push.request.samples)
            if index not in refused
        )

    async def _try(
        self, push: Push, *, by_http: bool
    ) -> tuple[telemetry_pb2.PushResponse | None, str]:
        """The response, or why there is none yet."""
        try:
            if by_http:
                headers = {"content-type": _JSON.content_type, "x-forwarded-for": push.address}
                body = encoded(_JSON, push.request)
                http = await self._web.post(PUSH, content=body, headers=headers)
                if http.status_code != 200:
                    return None, f"HTTP {http.status_code} {http.text[:80]}"
                return _JSON.answer(http).response, ""
            answer: telemetry_pb2.PushResponse = await self._push(
                push.request.SerializeToString(),
                metadata=(("x-forwarded-for", push.address),),
                timeout=30,
            )
        except grpc.aio.AioRpcError as error:
            return None, f"gRPC {error.code().name} {error.details()}"
        except httpx.HTTPError as error:
            return None, f"HTTP {type(error).__name__}"
        return answer, ""


async def _note_lags(server: ServerProcess, soaked: Soaked) -> None:
    """Notes how long due windows wait, by the server's own metrics, as monitoring would."""
    async with httpx.AsyncClient(base_url=f"http://{server.http}", timeout=60) as web:
        while True:
            try:
                text = (await web.get("/metrics")).text
            except httpx.HTTPError as error:
                text = ""
                soaked.findings.append(f"/metrics: {type(error).__name__}")
            for line in text.splitlines():
                name, _, value = line.rpartition(" ")
                if name.startswith("devtelemetry_window_lag_seconds{"):
                    soaked.lags.append(float(value))
                elif name.startswith("devtelemetry_places_refused_total{"):
                    soaked.places[name.partition('"')[2].rstrip('"}')] = float(value)
            await asyncio.sleep(5)


async def _read(web: httpx.AsyncClient, world: World, timeframe: Timeframe, soaked: Soaked) -> None:
    """Reads the figures of the honest channels, window by window."""
    spec = world.spec
    honest = {channel.channel_id for channel in world.channels}
    times = {name: from_unix_ms(at).isoformat() for name, at in _span(spec).items()}
    answer = await web.get("/api/v1/reliability", params={"timeframe": timeframe.name, **times})
    measured = {}
    for window in answer.raise_for_status().json()["windows"]:
        channels = [one for one in window["channels"] if one["channel_id"] in honest]
        corroborated = sum(one["corroborated"] for one in channels)
        missing = sum(one["missing"] for one in channels)
        measured[datetime.fromisoformat(window["start"])] = 1 - missing / corroborated
    for true in true_windows(world, timeframe):
        if spec.start_ms <= true.window.start_ms < spec.end_ms:
            assert true.total.delivery_ratio is not None
            found = measured.get(from_unix_ms(true.window.start_ms))
            if found is None:
                soaked.findings.append(f"no window at {from_unix_ms(true.window.start_ms)}")
            else:
                soaked.windows.append((true.total.delivery_ratio, found))


def _span(spec: Spec) -> dict[str, int]:
    return {"from": spec.start_ms, "to": spec.end_ms}


def _compare(server: ServerProcess, soaked: Soaked) -> None:
    """Compares what was acknowledged with what is stored: samples of honest receivers."""
    acknowledged = Counter(message_id for message_id, _ in soaked.acknowledged)
    rows: Counter[tuple[str, str]] = Counter()
    with subprocess.Popen(command("export", server.where), stdout=subprocess.PIPE) as export:
        assert export.stdout is not None
        for line in map(json.loads, export.stdout):
            if line.get("messageId") in acknowledged and line.get("appVersion") != _LIAR:
                rows[line["messageId"], line["receiverPublicKey"]] += 1
    stored = Counter(message_id for message_id, _ in rows)
    soaked.lost = sum((acknowledged - stored).values())
    soaked.twice = sum(count - 1 for count in rows.values())


def _result(
    options: argparse.Namespace, about: Mapping[str, str], soaked: Soaked, log_lines: int
) -> Result:
    errors = [measured - true for true, measured in soaked.windows]
    first, last = soaked.watched[0], soaked.watched[-1]
    most = max(one.descriptors for one in soaked.watched)
    resident = f"{first.resident_mib:.0f} / {last.resident_mib:.0f}"
    rows = [
        (
            "honest pushes, calm / attacked",
            f"{len(soaked.calm_ms):,} / {len(soaked.attacked_ms):,}",
        ),
        ("median until the answer, ms", _quantiles(soaked, 0.5)),
        ("p99, ms", _quantiles(soaked, 0.99)),
        ("longest, ms", _quantiles(soaked, 1.0)),
        ("sent again", f"{soaked.again.total():,}"),
        *((f"sent again: {why}", f"{times:,}") for why, times in soaked.again.most_common(5)),
        ("never taken", f"{soaked.refused:,}"),
        ("honest samples acknowledged", f"{len(soaked.acknowledged):,}"),
        ("of them lost / stored twice", f"{soaked.lost} / {soaked.twice}"),
        ("windows", f"{len(soaked.windows)}"),
        ("longest that a due window waited, s", f"{max(soaked.lags, default=0.0):.0f}"),
        ("largest error of the delivery ratio", f"{max(map(abs, errors), default=0.0):.4f}"),
        ("its mean", f"{sum(errors) / max(1, len(errors)):+.4f}".replace("-", "−")),
        ("resident memory, MiB, at first / at last", resident),
        ("descriptors, at first / at most", f"{first.descriptors} / {most}"),
        ("lines of log", f"{log_lines:,}"),
        *((f"places refused: {kind}", f"{count:,.0f}") for kind, count in soaked.places.items()),
    ]
    return Result(
        "Soak",
        about,
        [Table(f"{options.minutes:g} minutes, {NODES} nodes, {LIARS} liars", ("", ""), rows)],
        [f"finding: {one}" for one in soaked.findings[:50]] or ["no findings"],
        {"windows": soaked.windows, "findings": soaked.findings, "lags": soaked.lags},
    )


def _quantiles(soaked: Soaked, share: float) -> str:
    def of(times_ms: Sequence[float]) -> str:
        if not times_ms:
            return "–"
        return f"{sorted(times_ms)[min(len(times_ms) - 1, int(share * len(times_ms)))]:.0f}"

    return f"{of(soaked.calm_ms)} / {of(soaked.attacked_ms)}"
