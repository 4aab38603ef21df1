"""The load generator of bench/ingest.py, in a process of its own: `python -m bench.load JSON`.

It serializes all requests, connects, sends as fast as the server answers, and prints one JSON line.
"""

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

import grpc

from bench.workload import Workload
from devtelemetry.v1 import SERVICE, telemetry_pb2


@dataclass(frozen=True, slots=True)
class Plan:
    """What to send. Connections are separate, each with one request at a time."""

    target: str
    workload: Workload
    connections: int
    seconds: float  # after them no new request is sent, and open ones are awaited
    is_echo: bool = False  # the server is bench/echo.py


@dataclass(slots=True)
class Outcome:
    answered: int = 0  # requests
    accepted: int = 0
    rejected: int = 0
    errors: dict[str, int] = field(default_factory=dict)  # by gRPC status
    seconds: float = 0.0  # from the first request to the last answer
    cpu_seconds: float = 0.0  # of the load generator in that time
    latencies_ms: dict[str, float] = field(default_factory=dict)  # p50, p99
    ran_out: bool = False  # no prepared requests were left before the time was over


async def run(plan: Plan) -> Outcome:
    bodies = [request.SerializeToString() for request in plan.workload.requests()]
    channels = [
        grpc.aio.insecure_channel(
            plan.target,
            # gRPC channels with the same arguments would share a connection.
            options=[("bench.connection", number), ("grpc.use_local_subchannel_pool", 1)],
        )
        for number in range(plan.connections)
    ]
    await asyncio.gather(*(channel.channel_ready() for channel in channels))
    outcome = Outcome()
    queue = iter(bodies)
    latencies: list[float] = []
    started, cpu = time.perf_counter(), time.process_time()
    until = started + plan.seconds
    await asyncio.gather(
        *(_push(channel, queue, until, outcome, latencies, plan) for channel in channels)
    )
    outcome.seconds = time.perf_counter() - started
    outcome.cpu_seconds = time.process_time() - cpu
    latencies.sort()
    outcome.latencies_ms = {
        f"p{percent}": latencies[len(latencies) * percent // 100] * 1000 for percent in (50, 99)
    }
    outcome.ran_out = next(queue, None) is None
    for channel in channels:
        await channel.close()
    return outcome


async def _push(
    channel: grpc.aio.Channel,
    queue: Iterator[bytes],
    until: float,
    outcome: Outcome,
    latencies: list[float],
    plan: Plan,
) -> None:
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, Any] = channel.unary_unary(
        f"/{SERVICE}/Push",
        request_serializer=None,
        response_deserializer=None if plan.is_echo else telemetry_pb2.PushResponse.FromString,
    )
    for body in queue:
        begun = time.perf_counter()
        if begun >= until:
            return
        try:
            response = await call(body, timeout=60)
        except grpc.aio.AioRpcError as error:
            outcome.errors[error.code().name] = outcome.errors.get(error.code().name, 0) + 1
        else:
            outcome.answered += 1
            if not plan.is_echo:
                outcome.accepted += response.accepted
                outcome.rejected += len(response.rejections)
        latencies.append(time.perf_counter() - begun)


def main() -> None:
    options = json.loads(sys.argv[1])
    plan = Plan(**{**options, "workload": Workload(**options["workload"])})
    print(json.dumps(asdict(asyncio.run(run(plan)))))


if __name__ == "__main__":
    main()
