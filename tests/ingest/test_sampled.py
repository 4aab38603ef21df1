"""The rules of sampling in a response, and samples that a client need not have sent."""

from collections.abc import Sequence

import pytest

from devtelemetry.ingest.push import PushInterval
from devtelemetry.model import AUDIT_CHANNELS, HOUR_MS
from devtelemetry.model.sampling import Change, Sampling
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import now_ms
from devtelemetry.store.database import Database
from devtelemetry.store.sampling import OF_ALL, add_rules, read_sampling
from devtelemetry.v1 import telemetry_pb2
from devtelemetry.v1.sampling import is_in_sample
from support.wire import count, request, sample, served

SALT = b"the same in each run"
IDS = [f"m{number}" for number in range(64)]


async def make_rules(database: Database, *rules: tuple[str, int, int]) -> bytes:
    """channel, one_in, from_ms; returns the salt"""
    keyring = await database.keyring()
    async with database.acquire() as connection:
        for channel, one_in, from_ms in rules:
            channel_id = keyring.channel(channel) if channel else OF_ALL
            await add_rules(connection, {channel_id: one_in}, from_ms)
        await connection.execute("update deployment set sampling_salt = $1", SALT)
    return SALT


def told(response: telemetry_pb2.PushResponse) -> list[tuple[str, int, int]]:
    return [(rule.channel_id, rule.one_in, getattr(rule, "from")) for rule in response.sampling]


def of(ids: Sequence[str], **fields: object) -> list[telemetry_pb2.Sample]:
    return [sample(message_id=one, **fields) for one in ids]


async def test_without_rules_nothing_is_said(database: Database) -> None:
    async with served(database) as wire:
        response = await wire.push(request(sample()))
    assert (told(response), response.push_interval_seconds) == ([], 0)


async def test_a_push_is_told_the_rules_of_all_and_of_what_it_reports(database: Database) -> None:
    later = now_ms() + HOUR_MS
    salt = await make_rules(database, ("", 4, 0), ("c1", 16, later), ("c2", 2, later))
    async with served(database, push_interval="10m") as wire:
        response = await wire.push(request(*of(IDS)))
        beat = await wire.push(request())
    assert told(response) == [("", 4, 0), ("c1", 16, later)]
    assert {rule.salt for rule in response.sampling} == {salt}
    assert told(beat) == [("", 4, 0)]
    assert response.push_interval_seconds == 600


async def test_a_rule_whose_time_is_over_is_not_told(database: Database) -> None:
    await make_rules(database, ("", 2, 0), ("", 4, 1), ("", 8, now_ms() - HOUR_MS))
    async with served(database) as wire:
        response = await wire.push(request(sample()))
    assert [one_in for _, one_in, _ in told(response)] == [4, 8]


async def test_what_is_not_in_the_sample_is_accepted_and_not_stored(database: Database) -> None:
    salt = await make_rules(database, ("", 4, 0))
    before = metrics.SAMPLES_UNSAMPLED._value.get()
    wanted = [one for one in IDS if is_in_sample(4, salt, "c1", one)]
    assert 0 < len(wanted) < len(IDS)
    async with served(database) as wire:
        response = await wire.push(request(*of(IDS), first_sequence=1))
    assert response.accepted == len(IDS)
    assert await count(database, "receipt") == len(wanted)
    assert metrics.SAMPLES_UNSAMPLED._value.get() - before == len(IDS) - len(wanted)
    async with database.acquire() as connection:
        # Its numbers arrived, so there is no hole.
        run = await connection.fetchrow("select first_sequence, last_sequence from report_run")
    assert run is not None
    assert tuple(run) == (1, len(IDS))


async def test_of_an_audit_all_messages_are_wanted(database: Database) -> None:
    await make_rules(database, ("", 64, 0))
    audit = f"{AUDIT_CHANNELS}2026-03-02T10:00:00Z"
    async with served(database) as wire:
        await wire.push(request(*of(IDS, channel_id=audit)))
    assert await count(database, "receipt") == len(IDS)
    async with database.acquire() as connection:
        sampling = await read_sampling(connection)
    channel_id = (await database.keyring()).channel(audit)
    assert (sampling.one_in(channel_id, 5), sampling.one_in(1, 5)) == (1, 64)


async def test_who_sends_only_what_is_not_wanted_reports_all_the_same(database: Database) -> None:
    salt = await make_rules(database, ("", 4, 0))
    other = next(one for one in IDS if not is_in_sample(4, salt, "c1", one))
    async with served(database) as wire:
        await wire.push(request(*of([other])))
    async with database.acquire() as connection:
        (heard,) = await connection.fetch("select last_heartbeat_minute, platform from receiver")
    assert heard["last_heartbeat_minute"] is not None
    assert heard["platform"] == "android"


async def test_what_has_no_id_is_stored_until_its_envelope_tells(database: Database) -> None:
    await make_rules(database, ("", 64, 0))
    unreadable = telemetry_pb2.Sample.Outcome.UNREADABLE
    async with served(database) as wire:
        await wire.push(request(*of([""], outcome=unreadable, envelope_id="0xee")))
    assert await count(database, "unreadable_envelope") == 1


@pytest.mark.parametrize("one_in", [3, 2**21])
async def test_a_rate_that_is_none_is_as_if_it_was_not_said(
    one_in: int, database: Database
) -> None:
    ignored = metrics.FIELDS_IGNORED.labels("one_in")
    before = ignored._value.get()
    async with served(database) as wire:
        response = await wire.push(request(sample(), one_in=one_in))
    assert response.accepted == 1
    assert ignored._value.get() - before == 1
    assert await count(database, "coarse_receiver") == 0


async def test_who_records_less_than_is_wanted_is_noted_once(database: Database) -> None:
    start = now_ms() - HOUR_MS
    salt = await make_rules(database, ("", 8, 0), ("", 1, start))
    ids = [one for one in IDS if is_in_sample(8, salt, "c1", one)]
    async with served(database) as wire:
        for number, one in enumerate(ids):
            push = request(sample(message_id=one, sent_at=start + number), one_in=8)
            await wire.push(push)
            await wire.push(push)
        await wire.push(request(sample(message_id="old", sent_at=start - 1), one_in=8))
    async with database.acquire() as connection:
        (row,) = await connection.fetch("select since_at, one_in, until_at from coarse_receiver")
    assert tuple(row) == (start, 8, start + len(ids) - 1)


async def test_of_a_channel_that_may_not_be_named_nothing_is_noted(database: Database) -> None:
    async with served(database, installation_channels=1) as wire:
        response = await wire.push(
            request(*(sample(channel_id=f"c{number}") for number in range(5)), one_in=8)
        )
    assert response.accepted == 1
    assert await count(database, "coarse_receiver") == 1


def test_what_is_in_force() -> None:
    sampling = Sampling(
        b"", [Change(10, 4), Change(20, 1), Change(30, 8)], {7: [Change(25, 2), Change(40, 16)]}
    )
    assert [sampling.one_in(1, at) for at in (9, 10, 19, 20, 30)] == [1, 4, 4, 1, 8]
    assert [sampling.one_in(7, at) for at in (9, 10, 24, 25, 39, 40)] == [1, 4, 1, 2, 2, 16]
    assert [sampling.coarsest(1, *span) for span in ((0, 10), (0, 11), (20, 30), (15, 25))] == [
        1, 4, 1, 4,
    ]  # fmt: skip
    assert [sampling.is_steady(*span) for span in ((0, 10), (10, 20), (9, 11), (24, 26))] == [
        True, True, False, False,
    ]  # fmt: skip
    # The time since which a finer sample than one in four was wanted.
    assert [sampling.finer_since(1, 4, at) for at in (9, 10, 20, 29, 30)] == [0, None, 20, 20, None]
    assert sampling.finer_since(1, 1, 9) is None


@pytest.mark.parametrize(
    ("fullness", "seconds"), [(0.0, 60), (0.24, 60), (0.25, 450), (0.5, 900), (2.0, 1_800)]
)
def test_a_busy_server_tells_clients_to_wait_longer(fullness: float, seconds: int) -> None:
    assert PushInterval(60, 1_800).seconds(fullness) == seconds
