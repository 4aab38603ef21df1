"""Rooms as correct apps report them, and the same rooms as reported by apps with a fault."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import ClockSaid
from devtelemetry.model import MINUTE_MS, ReportedMembership, Sample, SentAtClock, Via
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.spec import World
from devtelemetry.store.database import Database
from support.store import START

STEP_MS = 20_000  # between two messages of a room
MEMBERS = ("ann", "ben", "cleo", "dan", "eve")


@dataclass
class Told:
    """What clients reported to a server."""

    samples: list[Sample] = field(default_factory=list)
    memberships: list[ReportedMembership] = field(default_factory=list)
    clocks: list[ClockSaid] = field(default_factory=list)

    def but(self, change: Callable[[Sample], Sample | None]) -> "Told":
        """The same reports with changed samples; None leaves a sample out."""
        changed = [new for one in self.samples if (new := change(one)) is not None]
        return Told(changed, self.memberships, self.clocks)


def room(
    channel: str = "c1",
    members: Sequence[str] = MEMBERS,
    *,
    messages: int = 120,
    lost: int = 20,
    says_membership: bool = True,
) -> Told:
    """A room whose members write in turn; every `lost`-th delivery is lost."""
    told = Told()
    for number in range(messages):
        author = members[number % len(members)]
        sent_at = START + number * STEP_MS
        for position, member in enumerate(members):
            delivery = number * len(members) + position
            if member != author and (delivery * 7919) % lost == 0:
                continue
            received_at = sent_at + 300 * (member != author)
            told.samples.append(
                Sample(
                    f"{channel}-m{number}",
                    channel,
                    member,
                    sent_at,
                    sent_at + 2_000 + position,
                    installation_id=f"{member}-phone",
                    sent_by_receiver=member == author,
                    received_at=received_at,
                    message_type="chat",
                    platform="android",
                    app_version="2.1",
                    via=Via.LIVE,
                )
            )
    if says_membership:
        told.memberships = [
            ReportedMembership(channel, member, f"{member}-phone", START - 1, START - MINUTE_MS, 0)
            for member in members
        ]
    return told


def simulated(world: World) -> Told:
    """What the clients of a simulated world report, in compressed time."""
    reports, told = report(world), Told()
    for one in reports.arrived:
        node = world.nodes[one.node]
        told.samples.append(
            Sample(
                one.message.message_id,
                one.message.channel_id,
                node.public_key,
                one.sent_at,
                one.at_ms + 2_000,
                installation_id=f"{one.node}-{one.installation}",
                sent_by_receiver=one.is_author,
                received_at=0 if one.is_author else one.at_ms,
                message_type=one.message_type,
                platform=node.platform,
                app_version=node.app_version,
                outcome=one.outcome,
                reason=one.reason,
                via=one.via,
                sent_at_clock=SentAtClock(one.sent_at_clock),
                server=node.server,
            )
        )
    for part in reports.parts:
        where = (
            part.channel_id,
            world.nodes[part.node].public_key,
            f"{part.node}-{part.installation}",
        )
        told.memberships.append(ReportedMembership(*where, part.joined_said_ms, part.joined_at, 0))
        if part.left_said_ms is not None and part.left_at is not None:
            told.memberships.append(
                ReportedMembership(*where, part.left_said_ms, part.joined_at, part.left_at)
            )
    return told


async def store_told(database: Database, *told: Told) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    for one in told:
        batch.add_samples(writer.keyring, one.samples)
        batch.add_memberships(writer.keyring, one.memberships)
        batch.add_clocks(writer.keyring, one.clocks)
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=START)


def in_order(told: Iterable[Sample]) -> list[Sample]:
    return sorted(told, key=lambda one: one.sent_at)
