"""Random worlds of pushes for property tests, and how they are stored."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, chain, zip_longest

from hypothesis import strategies as st

from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import Heartbeat
from devtelemetry.model import HOUR_MS, MINUTE_MS, LostReports, ReportedMembership, ReportRun
from devtelemetry.store.database import Database
from oracle.model import Memberships, Numbers, OracleSample, Receiver
from oracle.samples import Lost
from support.store import START, as_samples

END = START + HOUR_MS
CHANNELS = ("c1", "c1", "c1", "c2", "c3-negotiated")
INSTALLATIONS = ("phone", "tablet")


@dataclass(frozen=True)
class Pushed:
    """One push: its accepted samples, and the numbers of all its samples."""

    samples: tuple[OracleSample, ...]
    run: ReportRun | None = None
    memberships: tuple[ReportedMembership, ...] = ()
    lost: tuple[LostReports, ...] = ()


def numbered(installation: str, first: int, fates: Sequence[OracleSample | None]) -> Pushed:
    """A push of consecutive numbers; None: a rejected sample."""
    accepted = tuple(sample for sample in fates if sample is not None)
    run = ReportRun(
        installation,
        first,
        first + len(fates) - 1,
        accepted[0].sent_at if accepted else None,
        accepted[-1].sent_at if accepted else None,
    )
    return Pushed(accepted, run)


async def store_pushes(
    database: Database,
    *transactions: Iterable[Pushed],
    heartbeats: Iterable[Heartbeat] = (),
    now_ms: int = START,
) -> None:
    """Stores each push by another server of the same database, so that none remembers others'."""
    for pushes in transactions:
        writer = RowWriter(await database.keyring(), SettleRule())
        batch = Batch()
        for push in pushes:
            batch.add_samples(writer.keyring, as_samples(push.samples))
            batch.add_runs(writer.keyring, [push.run] if push.run else [])
            batch.add_memberships(writer.keyring, push.memberships)
            batch.add_lost(writer.keyring, push.lost)
        for beat in heartbeats:
            batch.add_heartbeat(writer.keyring, beat)
        async with database.acquire() as connection:
            await writer.write(connection, batch, now_ms=now_ms)


@dataclass(frozen=True)
class World:
    pushes: list[Pushed]  # in the order of arrival
    cuts: list[int]  # where one transaction ends and the next begins
    numbers: Mapping[str, Numbers]
    memberships: Memberships
    heartbeats: list[Heartbeat]

    @property
    def samples(self) -> list[OracleSample]:
        return [sample for push in self.pushes for sample in push.samples]

    @property
    def lost(self) -> dict[str, list[Lost]]:
        lost: defaultdict[str, list[Lost]] = defaultdict(list)
        for push in self.pushes:
            for installation, *said, _ in push.lost:
                lost[installation].append(Lost(*said))
        return lost

    @property
    def transactions(self) -> list[list[Pushed]]:
        bounds = zip([0, *self.cuts], [*self.cuts, len(self.pushes)], strict=True)
        return [self.pushes[begin:end] for begin, end in bounds]

    @property
    def last_heartbeats(self) -> dict[Receiver, int]:
        return {
            (beat.receiver_public_key, beat.installation_id): beat.created_at
            for beat in self.heartbeats
        }

    @property
    def late(self) -> list[Pushed]:
        """Pushes of the numbers that did not arrive, with rejected samples."""
        return [
            numbered(installation, number, [None])
            for installation, numbers in self.numbers.items()
            for number in range(1, max(numbers, default=0))
            if number not in numbers
        ]


# ---------------------------------------------------------------------------- many worlds as one


def prefix_of(number: int) -> str:
    """The prefix of all names in the world of that number, so that no two worlds share a name."""
    return f"w{number}-"


def with_prefix(sample: OracleSample, prefix: str) -> OracleSample:
    return replace(
        sample,
        channel_id=prefix + sample.channel_id,
        receiver_public_key=prefix + sample.receiver_public_key,
        installation_id=installation_with_prefix(sample.installation_id, prefix),
    )


def installation_with_prefix(installation: str, prefix: str) -> str:
    """The installation with the prefix; an empty one stays empty."""
    return installation and prefix + installation


def as_one(worlds: Mapping[str, World]) -> World:
    """One world that has all these worlds in it, each with its own channels, keys, installations.

    One window of it tests them all, and costs about as much as a window of one of them.

    worlds  prefix of the names of a world → the world
    """
    apart = [_with_prefix(world, prefix) for prefix, world in worlds.items()]
    transactions = [
        list(chain(*parts))
        for parts in zip_longest(*(world.transactions for world in apart), fillvalue=())
    ]
    return World(
        pushes=list(chain(*transactions)),
        cuts=list(accumulate(map(len, transactions[:-1]))),
        numbers={name: said for world in apart for name, said in world.numbers.items()},
        memberships={name: said for world in apart for name, said in world.memberships.items()},
        heartbeats=[beat for world in apart for beat in world.heartbeats],
    )


def several(worlds: st.SearchStrategy[World], number: int) -> st.SearchStrategy[World]:
    return st.lists(worlds, min_size=number, max_size=number).map(
        lambda drawn: as_one({prefix_of(i): world for i, world in enumerate(drawn)})
    )


def _with_prefix(world: World, prefix: str) -> World:
    def installation(name: str) -> str:
        return installation_with_prefix(name, prefix)

    return World(
        pushes=[
            Pushed(
                tuple(with_prefix(sample, prefix) for sample in push.samples),
                push.run
                and push.run._replace(installation_id=installation(push.run.installation_id)),
                tuple(
                    said._replace(
                        channel_id=prefix + said.channel_id,
                        receiver_public_key=prefix + said.receiver_public_key,
                        installation_id=installation(said.installation_id),
                    )
                    for said in push.memberships
                ),
                tuple(
                    said._replace(installation_id=installation(said.installation_id))
                    for said in push.lost
                ),
            )
            for push in world.pushes
        ],
        cuts=world.cuts,
        numbers={installation(name): said for name, said in world.numbers.items()},
        memberships={
            ((prefix + key, installation(name)), prefix + channel_id): said
            for ((key, name), channel_id), said in world.memberships.items()
        },
        heartbeats=[
            beat._replace(
                receiver_public_key=prefix + beat.receiver_public_key,
                installation_id=installation(beat.installation_id),
            )
            for beat in world.heartbeats
        ],
    )


# --------------------------------------------------------------------------- what is drawn of them

MOMENTS = st.integers(-10, 70).map(lambda minute: START + minute * MINUTE_MS + minute % 3) | (
    st.sampled_from([START - 1, START, START + 1, END - 2, END - 1, END, END + 1])
)
BEGINNINGS = (START - 5 * MINUTE_MS, START + 7 * MINUTE_MS, START + 20 * MINUTE_MS)
MEMBERSHIPS_SAID = st.dictionaries(
    st.tuples(
        st.tuples(st.sampled_from("ab"), st.sampled_from(INSTALLATIONS))
        | st.tuples(st.sampled_from("cde"), st.just("")),
        st.sampled_from(CHANNELS),
    ),
    st.lists(
        # The few times make it join and leave again, and report one stay several times.
        st.tuples(
            st.integers(START, START + 4),
            st.none() | st.just(0) | st.sampled_from(BEGINNINGS) | MOMENTS,
            st.none() | st.just(0) | MOMENTS,
        ),
        max_size=6,
    ),
    min_size=1,
    max_size=8,
)


@st.composite
def pushed_in_pieces(
    draw: st.DrawFn, installation: str, kept: Sequence[OracleSample]
) -> tuple[list[Pushed], Numbers]:
    """Samples with numbers in any order; some samples are lost and some rejected.

    Returns pushes with each number that arrived at least once, and these numbers.
    """
    fates: dict[int, OracleSample | None] = {}
    for number, sample in enumerate(draw(st.permutations(kept)), start=1):
        fate = draw(st.sampled_from(["arrives"] * 5 + ["lost"] * 3 + ["rejected"] * 2))
        if fate != "lost":
            fates[number] = sample if fate == "arrives" else None
    pushes = []
    for first in fates:
        # A push that begins with this number and has some of the next ones.
        length = draw(st.integers(1, 5))
        stretch: list[OracleSample | None] = []
        while len(stretch) < length and first + len(stretch) in fates:
            stretch.append(fates[first + len(stretch)])
        pushes.append(numbered(installation, first, stretch))
    return pushes, {
        number: None if sample is None else sample.sent_at for number, sample in fates.items()
    }


@st.composite
def arrivals(draw: st.DrawFn, pushes: list[Pushed]) -> tuple[list[Pushed], list[int]]:
    """The pushes in any order, some of them twice, and where transactions end."""
    arrived = draw(st.permutations(pushes + pushes[:2] + pushes[-1:]))
    cuts = draw(st.sets(st.integers(1, max(1, len(arrived) - 1)), max_size=4))
    return arrived, sorted(cuts)
