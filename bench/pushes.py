"""What the clients of a world push, and when the server gets it. Pure.

Like a real client, a node pushes its samples within a minute, with their numbers, its reports of
joining and leaving, and its clock's time at the push. All is in real time, so that delays and
clocks have a meaning.
"""

import random
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from devtelemetry.model import MINUTE_MS
from devtelemetry.simulator.reports import Part, Report, report
from devtelemetry.simulator.spec import Action, Node, World
from devtelemetry.v1 import telemetry_pb2

PUSH_MS = MINUTE_MS  # between two pushes of a client that has something to push
MOST_SAMPLES = 500  # in a push, as in the client
_WAY_MS = (20, 200)  # from a client to the server: the least and the most


class Push(NamedTuple):
    """A request, and when it arrives by the server's clock, which is the world's.

    address  from which it comes; empty: not known, as behind a proxy
    """

    at_ms: int
    request: telemetry_pb2.PushRequest
    address: str = ""


def tells(_: Node) -> bool:
    """The default of `tells_clock`: every client sends `client_time`."""
    return True


def pushes(
    world: World, *, tells_clock: Callable[[Node], bool] = tells, push_ms: int = PUSH_MS
) -> list[Push]:
    """All pushes in the order of their arrival; at the end a heartbeat of every node.

    tells_clock  whether the client of a node sends `client_time`
    push_ms      how long a client gathers what it records
    """
    dice = random.Random(f"{world.spec.seed} pushes")
    gathered: dict[tuple[int, int], dict[int, _Gathered]] = {}
    reports = report(world)
    away = _interruptions(world)

    def at(of: Report | Part, said_ms: int) -> _Gathered:
        sends_ms = _next(said_ms, of.node, push_ms)
        for from_ms, to_ms in away.get(of.node, ()):
            if from_ms <= sends_ms < to_ms:
                sends_ms = _next(to_ms, of.node, push_ms)
        of_node = gathered.setdefault((of.node, of.installation), {})
        return of_node.setdefault(sends_ms, _Gathered())

    for one in reports.arrived:
        at(one, one.at_ms).reports.append(one)
    for part in reports.parts:
        joining = telemetry_pb2.Membership(channel_id=part.channel_id, joined_at=part.joined_at)
        at(part, part.joined_said_ms).memberships.append(joining)
        if part.left_said_ms is not None and part.left_at is not None:
            # A client that reports leaving knows when it joined, and sends both times.
            leaving = telemetry_pb2.Membership(
                channel_id=part.channel_id, joined_at=part.joined_at, left_at=part.left_at
            )
            at(part, part.left_said_ms).memberships.append(leaving)

    found: list[Push] = []
    last: dict[int, int] = {}
    for (number, installation), times in sorted(gathered.items()):
        last[number] = max(installation, last.get(number, 0))
        node = world.nodes[number]
        for sends_ms, of_time in sorted(times.items()):
            found += [
                _sent(request, node, sends_ms, tells_clock(node), dice)
                for request in _requests(
                    node, _installation_id(world, number, installation), of_time
                )
            ]
    end_ms = max([world.spec.until_ms, *(push.at_ms for push in found)])
    for number, installation in last.items():
        node = world.nodes[number]
        beat = _request(node, _installation_id(world, number, installation))
        found.append(_sent(beat, node, _next(end_ms, number, push_ms), tells_clock(node), dice))
    return sorted(found, key=lambda push: push.at_ms)


@dataclass(slots=True)
class _Gathered:
    """What a client pushes at one time."""

    reports: list[Report] = field(default_factory=list)
    memberships: list[telemetry_pb2.Membership] = field(default_factory=list)


def _interruptions(world: World) -> Mapping[int, Sequence[tuple[int, int]]]:
    """Node → the spans in which it pushes nothing: its app does not run, or is cut off."""
    spans: defaultdict[int, list[tuple[int, int]]] = defaultdict(list)
    begun: dict[int, int] = {}
    for operation in world.operations:
        if operation.action in (Action.STOP, Action.CRASH, Action.CUT):
            begun[operation.node] = operation.at_ms
        elif operation.action in (Action.START, Action.MEND, Action.WIPE) and (
            operation.node in begun
        ):
            spans[operation.node].append((begun.pop(operation.node), operation.at_ms))
    return spans


def _installation_id(world: World, node: int, installation: int) -> str:
    return f"{world.spec.fingerprint}-{node}-{installation}"


def _next(at_ms: int, node: int, push_ms: int) -> int:
    """When a node pushes next after `at_ms`; nodes push at different moments."""
    phase_ms = node * 7_919 % push_ms
    return ((at_ms - phase_ms) // push_ms + 1) * push_ms + phase_ms


def _requests(
    node: Node, installation_id: str, of_time: _Gathered
) -> Iterator[telemetry_pb2.PushRequest]:
    memberships = of_time.memberships
    for run in _runs(of_time.reports):
        yield _request(
            node,
            installation_id,
            [_sample(node, one) for one in run],
            first_sequence=run[0].number,
            memberships=memberships,
        )
        memberships = []
    if memberships:
        yield _request(node, installation_id, memberships=memberships)


def _runs(reports: Iterable[Report]) -> Iterator[list[Report]]:
    """Runs of consecutive numbers, because a request states only the number of its first sample."""
    run: list[Report] = []
    for one in sorted(reports, key=lambda one: one.number):
        if run and (one.number != run[-1].number + 1 or len(run) == MOST_SAMPLES):
            yield run
            run = []
        run.append(one)
    if run:
        yield run


def _request(
    node: Node,
    installation_id: str,
    samples: Sequence[telemetry_pb2.Sample] = (),
    *,
    first_sequence: int = 0,
    memberships: Sequence[telemetry_pb2.Membership] = (),
) -> telemetry_pb2.PushRequest:
    return telemetry_pb2.PushRequest(
        samples=samples,
        reporter=telemetry_pb2.Reporter(
            receiver_public_key=node.public_key,
            installation_id=installation_id,
            platform=node.platform,
            app_version=node.app_version,
            server=node.server,
        ),
        first_sequence=first_sequence,
        memberships=memberships,
    )


def _sample(node: Node, one: Report) -> telemetry_pb2.Sample:
    message = one.message
    return telemetry_pb2.Sample(
        message_id=message.message_id,
        channel_id=message.channel_id,
        sent_at=one.sent_at,
        # An author too reports when it recorded the message.
        received_at=one.at_ms + node.skew_ms,
        sent_by_receiver=one.is_author,
        message_type=one.message_type,
        message_size=message.size_bytes,
        outcome=telemetry_pb2.Sample.Outcome.ValueType(one.outcome),
        reason=one.reason,
        via=telemetry_pb2.Sample.Via.ValueType(one.via),
        sent_at_clock=telemetry_pb2.Sample.Clock.ValueType(one.sent_at_clock),
    )


def _sent(
    request: telemetry_pb2.PushRequest,
    node: Node,
    at_ms: int,
    is_clock_told: bool,
    dice: random.Random,
) -> Push:
    if is_clock_told:
        request.client_time = at_ms + node.skew_ms
    return Push(at_ms + dice.randint(*_WAY_MS), request)
