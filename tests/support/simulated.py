"""What a simulated network reports, for the brute-force model."""

from collections import Counter
from collections.abc import Callable

from devtelemetry.simulator.world import Action, Operation, World
from oracle.model import OracleSample

START_MS = 1_772_445_600_000  # 2026-03-02T10:00Z
LATE_MS = 4_000_000_000_000  # after every window: in compressed time all is reported then


def reports(
    world: World, created_at: Callable[[Operation], int] = lambda _: LATE_MS
) -> list[OracleSample]:
    """The samples that reach a server, from what each node was told and what is lost on devices."""
    installation: Counter[int] = Counter()
    samples = []
    for operation in world.operations:
        node, message = world.nodes[operation.node], operation.message
        if operation.action is Action.WIPE:
            installation[node.number] += 1
        if message is None or (node.number, message.message_id) in world.untold:
            continue
        samples.append(
            OracleSample(
                message.message_id,
                message.channel_id,
                node.public_key,
                message.sent_at,
                created_at(operation),
                f"{node.number}-{installation[node.number]}",
                operation.action is Action.WRITE,
            )
        )
    return samples
