"""The figures of what a simulated network reports, by the brute-force model."""

from collections import defaultdict
from collections.abc import Callable

from devtelemetry.simulator.reports import Part, Report, report
from devtelemetry.simulator.spec import World
from oracle.model import Joining, Membership, OracleSample, OracleWindow, Receiver, compute

LATE_MS = 4_000_000_000_000  # after every window: in compressed time all is reported then


def measured(
    world: World,
    *,
    membership: Membership = "present",
    recorded_ms: Callable[[int], int] = lambda _: LATE_MS,
    until_ms: int = LATE_MS,
) -> OracleWindow:
    """What is to be measured of `world`.

    recorded_ms  when the server records what is told at a time
    until_ms     what is recorded later is not there yet
    """
    reports = report(world)

    def receiver(of: Report | Part) -> Receiver:
        return world.nodes[of.node].public_key, f"{of.node}-{of.installation}"

    samples: list[OracleSample] = []
    numbers: defaultdict[str, dict[int, int | None]] = defaultdict(dict)
    memberships: defaultdict[tuple[Receiver, str], list[Joining]] = defaultdict(list)
    for one in reports.arrived:
        if recorded_ms(one.at_ms) > until_ms:
            continue
        key, installation = receiver(one)
        numbers[installation][one.number] = one.message.sent_at
        samples.append(
            OracleSample(
                one.message.message_id,
                one.message.channel_id,
                key,
                one.message.sent_at,
                recorded_ms(one.at_ms),
                installation,
                one.is_author,
            )
        )
    heartbeats: dict[Receiver, int] = {}
    for part in reports.parts:
        said = memberships[receiver(part), part.channel_id]
        said_at = recorded_ms(part.joined_said_ms)
        if said_at <= until_ms:
            said.append((said_at, part.joined_at, 0))
            # Where there are no samples to go with it, it is a push without samples.
            heartbeats[receiver(part)] = max(said_at, heartbeats.get(receiver(part), 0))
        if part.left_said_ms is not None and recorded_ms(part.left_said_ms) <= until_ms:
            said.append((recorded_ms(part.left_said_ms), part.joined_at, part.left_at))
    return compute(
        samples,
        world.spec.start_ms,
        world.spec.end_ms,
        membership,
        heartbeats=heartbeats,
        numbers=numbers,
        memberships=memberships,
    )
