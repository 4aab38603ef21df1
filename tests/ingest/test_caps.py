"""Limits for one installation; samples beyond them do not affect anybody else."""

from collections.abc import Sequence
from typing import Any

import grpc
import pytest

from devtelemetry.ingest.caps import Caps, Names
from devtelemetry.model import DAY_MS
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.database import Database
from devtelemetry.v1 import telemetry_pb2
from support.wire import Wire, count, request, sample, served

Reason = telemetry_pb2.Rejection.Reason


def of(installation: str, *samples: telemetry_pb2.Sample) -> telemetry_pb2.PushRequest:
    reporter = telemetry_pb2.Reporter(
        receiver_public_key=f"key of {installation}", installation_id=installation
    )
    return request(*samples, reporter=reporter)


def details(response: telemetry_pb2.PushResponse) -> list[tuple[int, str, str]]:
    return [(one.index, Reason.Name(one.reason), one.detail) for one in response.rejections]


async def test_ten_thousand_channels_in_many_requests(database: Database) -> None:
    async with served(database, installation_channels=5_000) as wire:
        accepted = 0
        for first in range(0, 10_000, 2_500):
            response = await wire.push(
                of(
                    "liar",
                    *(
                        sample(message_id=f"m{number}", channel_id=f"c{number}")
                        for number in range(first, first + 2_500)
                    ),
                )
            )
            accepted += response.accepted
        assert accepted == 5_000
        for table in ("channel", "membership", "message", "receipt"):
            assert await count(database, table) == 5_000, table
        # Other installations, and names that are known already, are accepted.
        assert (await wire.push(of("honest", sample(channel_id="new")))).accepted == 1
        again = of("liar", sample(message_id="m9", channel_id="c9"))
        assert (await wire.push(again)).accepted == 1


async def test_what_exceeds_is_rejected_and_the_rest_is_stored(database: Database) -> None:
    rejected = metrics.SAMPLES_REJECTED.labels("grpc", "too_many")._value
    before = rejected.get()
    async with served(
        database, installation_channels=2, installation_keys=2, installation_types=2
    ) as wire:
        response = await wire.push(
            of(
                "one",
                sample(message_id=""),
                sample(message_id="m1", channel_id="a", message_type="x"),
                sample(message_id="m2", channel_id="b", message_type="y"),
                sample(message_id="m3", channel_id="c", message_type="x"),
                sample(message_id="m4", channel_id="a", message_type="z"),
                sample(message_id="m5", channel_id="a", message_type="y"),
            )
        )
        assert response.accepted == 3
        assert details(response) == [
            (0, "MISSING_FIELD", "message_id: empty; allowed: 1 to 512 bytes"),
            (
                3,
                "TOO_MANY",
                "channel_id: one more than an installation may name; allowed: 2 channels",
            ),
            (
                4,
                "TOO_MANY",
                "message_type: one more than an installation may name; allowed: 2 types",
            ),
        ]
        assert await count(database, "receipt") == 3
        response = await wire.push(
            of(
                "two",
                *(
                    sample(message_id=key, receiver_public_key=key, channel_id="a")
                    for key in ("k1", "k2", "k3")
                ),
            )
        )
        assert response.accepted == 2
        assert details(response)[0][::2] == (
            2,
            "receiver_public_key: one more than an installation may name; allowed: 2 keys",
        )
        assert await count(database, "receiver") == 3
        assert rejected.get() - before == 3


async def test_memberships_and_heartbeats_beyond_it_are_not_stored(database: Database) -> None:
    ignored = metrics.MEMBERSHIPS_IGNORED.labels("too_many")._value
    before = ignored.get()
    async with served(database, installation_channels=3, installation_keys=2) as wire:
        for first in (0, 2):
            push = of("one")
            for number in range(first, first + 2):
                push.memberships.add(channel_id=f"c{number}")
            await wire.push(push)
        assert await count(database, "membership") == 3
        assert await count(database, "membership_report") == 3
        assert await count(database, "channel") == 3
        assert ignored.get() - before == 1
        push.reporter.receiver_public_key = "another"
        del push.memberships[:]
        await wire.push(push)
        push.reporter.receiver_public_key = "one too many"
        refusal = await wire.refusal(push)
        assert refusal.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert refusal.details() == (
            "heartbeat: reporter.receiver_public_key: one more than an installation may name; "
            "allowed: 2 keys"
        )
        assert await count(database, "receiver") == 2


async def test_it_holds_over_workers_and_restarts(database: Database) -> None:
    async def push(wires: Sequence[Wire], first: int) -> int:
        accepted = 0
        for number in range(first, first + 30):
            wire = wires[number % len(wires)]
            response = await wire.push(
                of(
                    "liar",
                    sample(
                        message_id=f"m{number}",
                        channel_id=f"c{number}",
                        message_type=f"t{number}",
                        receiver_public_key=f"k{number}",
                    ),
                )
            )
            accepted += response.accepted
        return accepted

    caps: dict[str, Any] = {f"installation_{what}": 8 for what in ("channels", "keys", "types")}
    async with served(database, **caps) as one, served(database, **caps) as another:
        assert await push((one, another), 0) == 8
    async with served(database, **caps) as restarted:
        assert await push((restarted,), 100) == 0
    for table in ("channel", "receiver", "receiver_kind", "sample_kind", "receipt"):
        assert await count(database, table) == 8, table


async def test_bytes_of_a_day(database: Database) -> None:
    at = now_ms()
    # The clock stands, so that no midnight comes during the test.
    clock = [at]
    push = of("heavy", *(sample(message_id=f"m{n}", sent_at=at) for n in range(100)))
    settings: dict[str, Any] = {"clock": lambda: clock[0], "installation_bytes": "64KiB"}
    async with served(database, **settings) as wire:
        # 100 samples of less than 256 bytes are 25,600.
        accepted = [(await wire.push(push)).accepted for _ in range(3)]
        assert accepted == [100, 100, 56]
        response = await wire.push(push)
        assert response.accepted == 0
        assert details(response)[99][1] == "TOO_MANY"
        assert details(response)[99][2].startswith(
            "samples: more bytes than an installation may send a day; allowed: 65536, again"
        )
        other_key = sample(receiver_public_key="another", sent_at=at)
        assert (await wire.push(of("heavy", other_key))).accepted == 0
        assert await count(database, "receiver") == 1
        assert (await wire.push(of("light", sample(sent_at=at)))).accepted == 1
    assert await count(database, "installation_bytes") == 1, "nobody notes who brings little"
    async with served(database, **settings) as restarted:
        # It learns the earlier sum when it notes its own, at the latest after a sixteenth.
        accepted = [(await restarted.push(push)).accepted for _ in range(2)]
        assert accepted == [100, 0]
        clock[0] += DAY_MS
        assert (await restarted.push(push)).accepted == 100


async def test_who_stays_below_costs_no_look_up(database: Database) -> None:
    """A known name is looked up once, and then remembered."""
    asked: list[int] = []
    refuse = Names.refuse

    async def noted(self: Names, connection: object, named: dict[object, int], at: int) -> object:
        asked.append(len(named))
        return await refuse(self, connection, named, at)  # type: ignore[arg-type]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Names, "refuse", noted)
        async with served(database) as wire:
            for number in range(3):
                await wire.push(of("one", sample(message_id=f"m{number}", message_type="x")))
    assert asked == [3, 0, 0]
    assert Caps() == Caps(100, 5_000, 500, 256 * 2**20)
