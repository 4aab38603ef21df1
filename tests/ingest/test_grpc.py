"""The gRPC endpoint at the wire: a real server, a real channel, real PostgreSQL."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from devtelemetry.ingest import reported
from devtelemetry.model import DAY_MS, HOUR_MS
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, create_token, revoke_token
from devtelemetry.v1 import SERVICE, telemetry_pb2
from support.waiting import until_waiting
from support.wire import Wire, count, request, sample, served

Push = Callable[..., Awaitable[telemetry_pb2.PushResponse]]
Reason = telemetry_pb2.Rejection.Reason


@pytest_asyncio.fixture
async def wire(database: Database) -> AsyncIterator[Wire]:
    async with served(database) as opened:
        yield opened


async def test_what_is_accepted_is_stored_with_all_its_fields(
    wire: Wire, database: Database
) -> None:
    sent_at = now_ms() - 5_000
    response = await wire.push(
        request(
            sample(
                sent_at=sent_at,
                topics=b"\x00\x01",
                envelope_id="0xee",
                received_at=sent_at + 700,
                message_type="CHAT_MESSAGE",
                message_size=4_000_000_000,
            )
        )
    )
    assert (response.accepted, len(response.rejections)) == (1, 0)
    async with database.acquire() as connection:
        row = await connection.fetchrow(
            "select m.external_id as message, c.external_id as channel, m.topics, m.envelope_id, "
            "m.message_size, r.sent_at, r.received_at, r.sent_by_receiver, k.message_type, "
            "v.platform, v.app_version, v.server from whole_receipt r "
            "join whole_message m using (channel_id, message_id) join channel c using (channel_id) "
            "join sample_kind k on k.kind = r.kind join receiver v using (receiver_id)"
        )
    assert row is not None
    assert dict(row) == {
        "message": "m1",
        "channel": "c1",
        "topics": b"\x00\x01",
        "envelope_id": "0xee",
        "message_size": 4_000_000_000,
        "sent_at": sent_at,
        "received_at": sent_at + 700,
        "sent_by_receiver": False,
        "message_type": "CHAT_MESSAGE",
        "platform": "android",
        "app_version": "2.31.0",
        "server": "relay.example",
    }


async def test_no_public_key_reaches_the_database(wire: Wire, database: Database) -> None:
    await wire.push(request(sample(receiver_public_key="0x04secret"), sample(message_id="m2")))
    async with database.acquire() as connection:
        tables = await connection.fetch(
            "select relname from pg_class where relkind in ('r', 'p') "
            "and relnamespace = 'public'::regnamespace"
        )
        for table in tables:
            text = await connection.fetchval(
                f"select string_agg(t::text, ' ') from {table['relname']} t"
            )
            assert "0x04" not in (text or ""), table["relname"]
            assert "phone" not in (text or ""), table["relname"]


async def test_a_sample_sent_again_is_accepted_and_stored_once(
    wire: Wire, database: Database
) -> None:
    duplicates = metrics.SAMPLES_DUPLICATE._value.get()
    push = request(sample(sent_at=now_ms() - 9_000))
    for _ in range(3):
        assert (await wire.push(push)).accepted == 1
    assert await count(database, "receipt") == 1
    assert metrics.SAMPLES_DUPLICATE._value.get() - duplicates == 2


NOW = now_ms()


@pytest.mark.parametrize(
    ("fields", "reason", "detail"),
    [
        ({"message_id": ""}, "MISSING_FIELD", "message_id: empty"),
        ({"channel_id": ""}, "MISSING_FIELD", "channel_id: empty"),
        ({"outcome": 4}, "MISSING_FIELD", "outcome: 4 is not known; allowed: 0 HELD, 1 UNREADABLE"),
        ({"message_id": "m\0"}, "MISSING_FIELD", "message_id: holds a NUL character"),
        ({"channel_id": "\0"}, "MISSING_FIELD", "channel_id: holds a NUL character"),
        ({"message_id": "m" * 513}, "TOO_LONG", "message_id: 513 bytes; allowed: up to 512"),
        ({"channel_id": "é" * 257}, "TOO_LONG", "channel_id: 514 bytes; allowed: up to 512"),
        ({"receiver_public_key": "k" * 4000}, "TOO_LONG", "receiver_public_key: 4000 bytes"),
        ({"envelope_id": "e" * 513}, "TOO_LONG", "envelope_id: 513 bytes"),
        ({"topics": b"t" * 4097}, "TOO_LONG", "topics: 4097 bytes; allowed: up to 4096"),
        ({"message_type": "T" * 129}, "TOO_LONG", "message_type: 129 bytes"),
        ({"sent_at": 0}, "MISSING_FIELD", "sent_at: 0; allowed: Unix milliseconds"),
        ({"sent_at": NOW // 1000}, "NOT_MILLISECONDS", "looks like seconds"),
        ({"sent_at": NOW * 1000}, "NOT_MILLISECONDS", "looks like microseconds"),
        ({"sent_at": NOW * 1_000_000}, "NOT_MILLISECONDS", "looks like nanoseconds"),
        ({"sent_at": 2**64 - 1}, "NOT_MILLISECONDS", "looks like nanoseconds"),
        ({"sent_at": NOW - 9 * DAY_MS}, "TOO_OLD", "9.0 d old; allowed:"),
        ({"sent_at": 10**11}, "TOO_OLD", "1973-03-03T09:46:40Z"),
        ({"sent_at": NOW + 2 * HOUR_MS}, "IN_THE_FUTURE", "ahead of the server's clock"),
        ({"received_at": NOW // 1000}, "NOT_MILLISECONDS", "received_at: "),
        ({"received_at": 2**64 - 1}, "NOT_MILLISECONDS", "received_at: "),
    ],
)
async def test_a_bad_field_is_named_and_costs_only_its_sample(
    wire: Wire, database: Database, fields: dict[str, Any], reason: str, detail: str
) -> None:
    refused = metrics.SAMPLES_REJECTED.labels("grpc", reason.lower())._value
    before = refused.get()
    good = [sample(message_id="before"), sample(message_id="after")]

    response = await wire.push(request(good[0], sample(**fields), good[1]))

    assert response.accepted == 2
    assert [(r.index, Reason.Name(r.reason)) for r in response.rejections] == [(1, reason)]
    assert detail in response.rejections[0].detail
    assert await count(database, "receipt") == 2
    assert refused.get() - before == 1


async def test_the_bounds_of_age_belong_to_what_is_allowed(wire: Wire) -> None:
    oldest = (now_ms() - 7 * DAY_MS) // DAY_MS * DAY_MS
    response = await wire.push(
        request(
            sample(message_id="oldest", sent_at=oldest),
            sample(message_id="older", sent_at=oldest - 1),
            sample(message_id="ahead", sent_at=now_ms() + HOUR_MS - 5_000),
        )
    )
    assert response.accepted == 2
    assert [r.index for r in response.rejections] == [1]


async def test_what_cannot_be_decoded_is_refused_for_good(wire: Wire, database: Database) -> None:
    whole = request(sample(message_id="x" * 40)).SerializeToString()
    invalid_utf8 = whole.replace(b"x" * 40, b"\xff" * 40)
    for body in (whole[:-3], b"\xff\xff\xff", invalid_utf8):
        error = await wire.refusal(body)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert "cannot be decoded" in (error.details() or "")
    assert await count(database, "receipt") == 0
    assert (await wire.push(request(sample()))).accepted == 1


async def test_too_much_at_once_is_refused_for_good(wire: Wire, database: Database) -> None:
    good = request(sample())
    too_many = request(*(sample(message_id=f"m{i}") for i in range(6_000)))
    too_large = request(sample(message_id="m" * 10_000_000), sample())
    for push, told in ((too_many, "6000 samples"), (too_large, "allowed: up to 4194304")):
        error = await wire.refusal(push)
        assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert told in (error.details() or "")
    assert await count(database, "receipt") == 0
    assert (await wire.push(good)).accepted == 1


async def test_five_thousand_samples_are_allowed(wire: Wire, database: Database) -> None:
    push = request(*(sample(message_id=f"m{i}") for i in range(5_000)))
    assert (await wire.push(push)).accepted == 5_000
    assert await count(database, "receipt") == 5_000


async def moments(database: Database) -> list[tuple[str, int | None]]:
    """The stored times at which each message was received or, by its author, sent."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select m.external_id, r.received_at from whole_receipt r "
            "join whole_message m using (channel_id, message_id) order by 1"
        )
    return [tuple(row) for row in rows]


async def clock_of(database: Database) -> tuple[int | None, int | None]:
    async with database.acquire() as connection:
        row = await connection.fetchrow("select clock_offset, clock_said_at from receiver")
    assert row is not None
    return tuple(row)


@pytest.mark.parametrize("skew_ms", [0, -5 * HOUR_MS, 5 * HOUR_MS, 400 * DAY_MS, -400 * DAY_MS])
async def test_the_moment_of_receiving_is_by_the_servers_clock(
    database: Database, skew_ms: int
) -> None:
    sent_at = NOW - 10_000
    async with served(database, clock=lambda: NOW) as wire:
        await wire.push(
            request(
                sample(message_id="fast", sent_at=sent_at, received_at=sent_at + 300 + skew_ms),
                sample(message_id="now", sent_at=sent_at, received_at=NOW + skew_ms),
                sample(message_id="unknown", sent_at=sent_at),
                client_time=NOW + skew_ms,
            )
        )
    assert await moments(database) == [("fast", sent_at + 300), ("now", NOW), ("unknown", None)]
    assert await clock_of(database) == (-skew_ms, NOW)


@pytest.mark.parametrize("skew_ms", [0, -5 * HOUR_MS, HOUR_MS])
async def test_an_author_says_when_it_sent_by_the_servers_clock(
    database: Database, skew_ms: int
) -> None:
    """The author's clock, which dates the message for all, may be off."""
    moment = NOW - 10_000
    async with served(database, clock=lambda: NOW) as wire:
        for received_at in (0, moment + skew_ms + 7_000):
            await wire.push(
                request(
                    sample(
                        sent_at=moment + skew_ms, sent_by_receiver=True, received_at=received_at
                    ),
                    client_time=NOW + skew_ms,
                )
            )
            assert await moments(database) == [("m1", moment)]
    async with database.acquire() as connection:
        sent_at = await connection.fetchval("select sent_at from receipt")
    assert sent_at == moment + skew_ms


@pytest.mark.parametrize(
    "client_time",
    [0, 1, NOW // 1000, NOW * 1000, 2**64 - 1],
    ids=["none", "one", "seconds", "microseconds", "largest"],
)
async def test_who_does_not_tell_its_clock_is_believed_about_what_it_received_alone(
    database: Database, client_time: int
) -> None:
    said = {"sent_at": NOW - 10_000, "received_at": NOW - HOUR_MS}
    async with served(database, clock=lambda: NOW) as wire:
        await wire.push(
            request(
                sample(message_id="held", **said),
                sample(message_id="sent", sent_by_receiver=True, **said),
                client_time=client_time,
            )
        )
    assert await moments(database) == [("held", NOW - HOUR_MS), ("sent", None)]
    assert await clock_of(database) == (None, None)


@pytest.mark.parametrize("is_author", [False, True])
async def test_a_moment_lies_in_no_future_and_is_still_a_time(
    database: Database, is_author: bool
) -> None:
    """The clock was set between receiving or writing a message and pushing the sample."""
    ahead = NOW + HOUR_MS - 1
    moment = {"sent_at": ahead} if is_author else {"received_at": ahead, "sent_at": NOW}
    async with served(database, clock=lambda: NOW) as wire:
        await wire.push(
            request(
                sample(message_id="set back", sent_by_receiver=is_author, **moment), client_time=NOW
            )
        )
        await wire.push(
            request(
                sample(message_id="set forward", sent_at=NOW, received_at=10**11),
                client_time=NOW + 1,
            )
        )
    assert await moments(database) == [("set back", NOW), ("set forward", 10**11)]


@pytest.mark.parametrize("ways_ms", [(700, 40, 2_000), (40, 700, 2_000), (2_000, 700, 40)])
async def test_of_copies_of_a_sample_the_least_moment_stays(
    database: Database, ways_ms: tuple[int, ...]
) -> None:
    """A corrected time is late by the time that the push took."""
    received_at = NOW - 5_000
    time_of_server = NOW
    async with served(database, clock=lambda: time_of_server) as wire:
        for way_ms in ways_ms:
            time_of_server = NOW + way_ms
            again = sample(sent_at=NOW - 9_000, received_at=received_at)
            await wire.push(request(again, client_time=NOW))
    assert await moments(database) == [("m1", received_at + 40)]


async def test_the_latest_clock_that_a_receiver_told_is_kept(database: Database) -> None:
    time_of_server = NOW
    async with served(database, clock=lambda: time_of_server) as wire:
        await wire.push(request(sample(), client_time=NOW - 7_000))
        assert await clock_of(database) == (7_000, NOW)
        time_of_server = NOW + 60_000
        await wire.push(request(client_time=NOW + 65_000))
        assert await clock_of(database) == (-5_000, NOW + 60_000)
        time_of_server = NOW + 120_000
        await wire.push(request(sample(message_id="m2")))  # without one_in
        assert await clock_of(database) == (-5_000, NOW + 60_000)


async def test_a_clock_is_kept_for_each_receiver_of_a_push(database: Database) -> None:
    async with served(database, clock=lambda: NOW) as wire:
        await wire.push(
            request(
                sample(),
                sample(receiver_public_key="0x04bb"),
                sample(receiver_public_key="0x04cc", sent_at=0),  # refused, so it adds no receiver
                client_time=NOW - 2_000,
            )
        )
    async with database.acquire() as connection:
        rows = await connection.fetch("select clock_offset from receiver")
    assert [row["clock_offset"] for row in rows] == [2_000, 2_000]


async def test_a_heartbeat_shows_that_its_sender_reports(wire: Wire, database: Database) -> None:
    before = now_ms()
    response = await wire.push(request())
    assert (response.accepted, len(response.rejections)) == (0, 0)
    async with database.acquire() as connection:
        row = await connection.fetchrow("select * from receiver")
    assert row is not None
    assert row["last_heartbeat_minute"] >= before // 60_000 * 60_000
    assert row["server"] == "relay.example"
    assert row["last_receipt_minute"] is None

    error = await wire.refusal(telemetry_pb2.PushRequest())
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "receiver_public_key" in (error.details() or "")


async def test_forget_deletes_what_the_installation_sent_and_nothing_else(
    wire: Wire, database: Database
) -> None:
    other = telemetry_pb2.Reporter(receiver_public_key="0x04bb", installation_id="desktop")
    await wire.push(request(sample(), sample(message_id="mine alone")))
    await wire.push(request(sample(), reporter=other))

    await wire.push(request(sample(message_id="does not count"), forget=True))

    assert await count(database, "receipt") == 1
    assert await count(database, "message") == 1
    assert await count(database, "membership") == 1
    assert await count(database, "receiver") == 1
    # The old installation stays forgotten. A new opt-in makes a new one, which may report.
    assert (await wire.push(request(sample()))).accepted == 1
    assert await count(database, "receipt") == 1
    anew = telemetry_pb2.Reporter(receiver_public_key="0x04aa", installation_id="phone, again")
    await wire.push(request(sample(), reporter=anew))
    assert await count(database, "receipt") == 2

    nameless = request(forget=True, reporter=telemetry_pb2.Reporter(receiver_public_key="0x04"))
    error = await wire.refusal(nameless)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_an_opt_out_is_not_overtaken_by_pushes_that_wait_in_another_process(
    wire: Wire, database: Database
) -> None:
    dropped = metrics.SAMPLES_DROPPED._value.get()
    await wire.push(request(sample()))
    other = telemetry_pb2.Reporter(receiver_public_key="0x04bb", installation_id="desktop")
    async with served(database) as elsewhere, database.acquire() as connection:
        async with connection.transaction():
            await connection.execute("lock table channel in access exclusive mode")
            written = asyncio.create_task(elsewhere.push(request(sample(channel_id="c2"))))
            await until_waiting(connection)
            behind = [
                asyncio.create_task(elsewhere.push(push))
                for push in (request(sample(channel_id="c3")), request(sample(), reporter=other))
            ]
            forgetting = asyncio.create_task(wire.push(request(forget=True)))
            await until_waiting(connection, sessions=2)
        answers = await asyncio.gather(written, *behind)
        await forgetting
    assert [answer.accepted for answer in answers] == [1, 1, 1]
    assert await count(database, "receipt") == 1
    assert await count(database, "receiver") == 1
    assert await count(database, "message") == 1
    # The sample that was being written was stored and then forgotten.
    assert metrics.SAMPLES_DROPPED._value.get() - dropped == 1


async def test_a_token_is_asked_for_where_it_is_required(database: Database) -> None:
    token = await create_token(database, "app", Scope.INGEST, now=datetime.now(UTC))
    reader = await create_token(database, "grafana", Scope.READ, now=datetime.now(UTC))
    async with served(database, require_tokens=True) as wire:
        assert (await wire.push(request(sample()), token)).accepted == 1
        for wrong in (None, "dt_guessed", token + "x", reader):
            error = await wire.refusal(request(sample()), wrong)
            assert error.code() is grpc.StatusCode.UNAUTHENTICATED
            assert "token" in (error.details() or "")
        await revoke_token(database, "app", now=datetime.now(UTC))
        deadline = time.monotonic() + 10
        while time.monotonic() < deadline:
            try:
                await wire.push(request(sample()), token)
            except grpc.aio.AioRpcError:
                break
            await asyncio.sleep(0.1)
        error = await wire.refusal(request(sample()), token)
        assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_without_tokens_required_a_wrong_one_is_still_refused(wire: Wire) -> None:
    error = await wire.refusal(request(sample()), "dt_wrong")
    assert error.code() is grpc.StatusCode.UNAUTHENTICATED


async def test_over_the_rate_of_its_token_a_client_is_told_when_to_come_back(
    database: Database,
) -> None:
    token = await create_token(database, "app", Scope.INGEST, now=datetime.now(UTC))
    async with served(database, token_rate="10") as wire:
        burst = request(*(sample(message_id=f"m{i}") for i in range(100)))
        await wire.push(burst, token)
        error = await wire.refusal(burst, token)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert 0 < retry_seconds(error) <= 10


async def test_each_kib_costs_as_much_as_a_sample(database: Database) -> None:
    token = await create_token(database, "app", Scope.INGEST, now=datetime.now(UTC))
    async with served(database, token_rate="0.01") as wire:
        await wire.push(request(*(sample(message_id=m, topics=b"t" * 4_096) for m in "mn")), token)
        error = await wire.refusal(request(sample()), token)
    # It must wait for nine samples at a rate of one in 100 seconds.
    assert 800 < retry_seconds(error) <= 900


async def test_a_full_queue_says_so_at_once_and_takes_more_later(database: Database) -> None:
    async with served(database, queue_samples="5000") as wire:
        async with database.acquire() as connection, connection.transaction():
            # Delays every commit, as a slow database would.
            await connection.execute("lock table channel in access exclusive mode")
            pushes = [
                asyncio.create_task(
                    wire.push(request(*(sample(message_id=f"{p}-{i}") for i in range(2_000))))
                )
                for p in range(8)
            ]
            done, _ = await asyncio.wait(pushes, return_when=asyncio.FIRST_COMPLETED, timeout=30)
            first = next(iter(done)).exception()
            assert isinstance(first, grpc.aio.AioRpcError)
            assert first.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert retry_seconds(first) > 0
        results = await asyncio.gather(*pushes, return_exceptions=True)
        accepted = sum(r.accepted for r in results if isinstance(r, telemetry_pb2.PushResponse))
        assert 0 < accepted == await count(database, "receipt")
        assert (await wire.push(request(sample()))).accepted == 1


async def test_health_and_reflection_answer(wire: Wire) -> None:
    health: Any = health_pb2_grpc.HealthStub(wire.channel)
    for name in ("", SERVICE):
        answer = await health.Check(health_pb2.HealthCheckRequest(service=name))
        assert answer.status == health_pb2.HealthCheckResponse.SERVING
    stub: Any = reflection_pb2_grpc.ServerReflectionStub(wire.channel)  # type: ignore[arg-type]
    asked: Any = reflection_pb2.ServerReflectionRequest(file_containing_symbol=SERVICE)
    async for found in stub.ServerReflectionInfo(iter([asked])):
        assert found.file_descriptor_response.file_descriptor_proto
        break


def retry_seconds(error: grpc.aio.AioRpcError) -> float:
    metadata = dict(error.trailing_metadata() or ())
    status = Status.FromString(metadata["grpc-status-details-bin"])
    info = RetryInfo()
    assert status.details[0].Unpack(info)
    milliseconds: int = info.retry_delay.ToMilliseconds()
    return milliseconds / 1000


# ------------------------------------------------------------------------------ numbered reports


async def runs(database: Database) -> list[tuple[int, int, int | None, int | None]]:
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select first_sequence, last_sequence, first_sent_at, last_sent_at from report_run "
            "order by 1"
        )
    return [tuple(row) for row in rows]


async def test_the_numbers_of_a_push_are_stored_those_of_rejected_samples_too(
    wire: Wire, database: Database
) -> None:
    sent_at = now_ms() - 60_000
    good = [sample(message_id=f"m{n}", sent_at=sent_at + n) for n in range(3)]
    bad = sample(message_id="")
    response = await wire.push(request(bad, good[0], good[1], bad, first_sequence=11))
    assert (response.accepted, len(response.rejections)) == (2, 2)
    await wire.push(request(bad, first_sequence=15))
    await wire.push(request(good[2], first_sequence=21))
    assert await runs(database) == [
        (11, 15, sent_at, sent_at + 1),
        (21, 21, sent_at + 2, sent_at + 2),
    ]


@pytest.mark.parametrize(
    ("first_sequence", "installation_id"),
    [
        (0, "phone"),
        (2**53 + 1, "phone"),
        (2**64 - 1, "phone"),
        (1, ""),
        (1, "p" * 513),
        (1, "a\0b"),
    ],
)
async def test_a_bad_number_is_none_and_costs_no_sample(
    wire: Wire, database: Database, first_sequence: int, installation_id: str
) -> None:
    reporter = telemetry_pb2.Reporter(receiver_public_key="0x04aa", installation_id=installation_id)
    response = await wire.push(request(sample(), reporter=reporter, first_sequence=first_sequence))
    assert response.accepted + len(response.rejections) == 1
    assert response.accepted == (len(installation_id) < 10 and "\0" not in installation_id)
    assert await runs(database) == []


@pytest.mark.parametrize("samples", [[], [sample()], [sample(message_id="")]])
async def test_what_is_lost_is_stored_with_samples_and_without(
    wire: Wire, database: Database, samples: list[telemetry_pb2.Sample]
) -> None:
    at = now_ms() - 60_000
    lost = telemetry_pb2.Lost(
        first_sequence=3, last_sequence=9, first_sent_at=at, last_sent_at=at + 5
    )
    ignored = metrics.FIELDS_IGNORED.labels("lost")._value
    before = ignored.get()
    push = request(*samples, first_sequence=10, lost=[lost, telemetry_pb2.Lost()])
    for _ in range(2):
        await wire.push(push)
    async with database.acquire() as connection:
        rows = await connection.fetch("select * from lost_report")
    assert [tuple(row)[1:] for row in rows] == [(3, 9, at, at + 5)]
    assert ignored.get() - before == 2


async def test_a_heartbeat_has_no_number(wire: Wire, database: Database) -> None:
    await wire.push(request(first_sequence=7))
    assert await runs(database) == []


async def test_the_greatest_number_is_stored(wire: Wire, database: Database) -> None:
    await wire.push(request(sample(), sample(), first_sequence=2**53))
    assert [run[:2] for run in await runs(database)] == [(2**53, 2**53 + 1)]


# ---------------------------------------------------------------------------------- memberships


async def memberships(database: Database) -> dict[str, tuple[int, int]]:
    """Channel → the joined and left times of its only report."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select external_id, joined_at, left_at "
            "from membership_report join channel using (channel_id)"
        )
    return {row[0]: tuple(row)[1:] for row in rows}


def ignored(reason: str) -> float:
    return (
        metrics.REGISTRY.get_sample_value(
            "devtelemetry_memberships_ignored_total", {"reason": reason}
        )
        or 0
    )


@pytest.mark.parametrize("samples", [[], [sample(channel_id="c9", message_id="")]])
async def test_what_is_wrong_of_a_membership_costs_itself_only(
    wire: Wire, database: Database, samples: list[telemetry_pb2.Sample]
) -> None:
    at = now_ms() - 60_000
    before = [ignored(reason) for reason in ("missing_field", "too_long", "not_milliseconds")]
    said = [
        telemetry_pb2.Membership(channel_id=channel_id, joined_at=joined_at, left_at=left_at)
        for channel_id, joined_at, left_at in [
            ("both", at, at + 1),
            ("in", at, 0),
            ("left", 0, at),
            ("is-in", 0, 0),
            ("seconds", at // 1000, at),
            # A wrong unit must not make somebody a member for ever.
            ("microseconds", at, at * 1000),
            ("in-since-seconds", at // 1000, 0),
            ("nothing", 2**64 - 1, 1),
            ("", at, 0),
            ("a\0b", at, 0),
            ("c" * 513, at, 0),
        ]
    ]
    response = await wire.push(request(*samples, memberships=said))
    assert (response.accepted, len(response.rejections)) == (0, len(samples))
    assert await memberships(database) == {
        "both": (at, at + 1),
        "in": (at, 0),
        "left": (0, at),
        "is-in": (0, 0),
        "seconds": (0, at),
    }
    after = [ignored(reason) for reason in ("missing_field", "too_long", "not_milliseconds")]
    assert [b - a for a, b in zip(before, after, strict=True)] == [2, 1, 5]


async def test_a_push_takes_five_thousand_memberships_and_ignores_the_rest(
    wire: Wire, database: Database
) -> None:
    before = ignored("too_many")
    said = [telemetry_pb2.Membership(channel_id=f"c{n}") for n in range(5_003)]
    assert (await wire.push(request(sample(), memberships=said))).accepted == 1
    assert ignored("too_many") == before + 3
    assert await count(database, "membership") == 5_000


async def test_who_joins_is_the_reporter_whoever_the_samples_are_of(
    wire: Wire, database: Database
) -> None:
    of_another = sample(receiver_public_key="0x04bb")
    await wire.push(request(of_another, memberships=[telemetry_pb2.Membership(channel_id="c2")]))
    keyring = await database.keyring()
    async with database.acquire() as connection:
        who = await connection.fetchval(
            "select receiver_id from membership join receiver using (receiver_id) where has_said"
        )
    assert who == keyring.receiver("0x04aa", "phone").receiver_id


async def test_a_reporter_without_a_key_says_nothing_of_memberships(
    wire: Wire, database: Database
) -> None:
    reporter = telemetry_pb2.Reporter(installation_id="phone")
    of_another = sample(receiver_public_key="0x04bb", channel_id="c1")
    said = [telemetry_pb2.Membership(channel_id="c2")]
    response = await wire.push(request(of_another, reporter=reporter, memberships=said))
    assert response.accepted == 1
    assert await memberships(database) == {}


async def test_how_many_times_are_no_milliseconds_is_noted_of_each_version(
    wire: Wire, database: Database
) -> None:
    at = now_ms()
    seconds = [sample(message_id=f"s{n}", sent_at=at // 1000) for n in range(3)]
    said = [telemetry_pb2.Membership(channel_id="c", joined_at=at // 1000)]
    await wire.push(request(*seconds, sample(), memberships=said))
    await wire.push(request(memberships=said))
    nameless = request(sample(sent_at=at // 1000))
    nameless.reporter.platform, nameless.reporter.app_version = "", ""
    await wire.push(nameless)
    async with database.acquire() as connection:
        rows = await connection.fetch("select platform, times from wrong_time order by platform")
    named = request().reporter.platform
    assert [tuple(row) for row in rows] == sorted([("", 1), (named, 5)])


async def test_who_makes_up_versions_fills_no_table(
    wire: Wire, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reported, "MOST_WRONG_TIMES", 3)
    for number in range(5):
        wrong = request(sample(sent_at=now_ms() // 1000))
        wrong.reporter.app_version = f"made-up {number}"
        await wire.push(wrong)
    async with database.acquire() as connection:
        rows = await connection.fetch("select app_version, times from wrong_time order by 1")
    assert [tuple(row) for row in rows] == [("", 2), *((f"made-up {n}", 1) for n in range(3))]
