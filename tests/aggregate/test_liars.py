"""How far one liar, or many in one network, can move figures; an app's token is not a secret."""

from collections.abc import Iterable
from itertools import chain
from random import Random

import pytest

from devtelemetry.aggregate.rules import Unmeasured
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.ingest.said import Heartbeat, OriginSaid
from devtelemetry.model import (
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    Dimension,
    Outcome,
    ReportedMembership,
    Sample,
    Source,
)
from devtelemetry.store.database import Database
from devtelemetry.store.repair import repair
from support.store import START, compute_window, empty

END = START + HOUR_MS
HONEST = [f"honest{number}" for number in range(20)]
MESSAGES = [f"m{number}" for number in range(100)]
LIARS = [f"liar{number}" for number in range(60)]


def held(message: str, key: str, installation: str = "", *, sent_at: int = 0) -> Sample:
    sent_at = sent_at or START + (1 + sum(message.encode()) % 50) * MINUTE_MS
    return Sample(
        message, "c", key, sent_at, sent_at + 2_000, installation or key, received_at=sent_at + 800
    )


def honest_world(loss: float = 0.025) -> list[Sample]:
    dice = Random(1)
    around = [
        held(f"at{sent_at}", one, sent_at=sent_at)
        for sent_at in (START - MINUTE_MS, END)
        for one in HONEST
    ]
    return around + [
        held(message, one) for message in MESSAGES for one in HONEST if dice.random() >= loss
    ]


async def push(
    database: Database,
    samples: Iterable[Sample],
    *,
    joined: Iterable[str] = (),
    alive: Iterable[str] = HONEST,
    networks: dict[str, str] | None = None,
) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    batch.add_samples(writer.keyring, samples)
    members = list(joined)
    batch.add_memberships(
        writer.keyring,
        [ReportedMembership("c", key, key, END, START - DAY_MS, 0) for key in members],
    )
    for key in chain(alive, members):
        batch.add_heartbeat(writer.keyring, Heartbeat(key, key, "", "", END + MINUTE_MS))
    batch.add_origins(
        writer.keyring,
        [OriginSaid(key, key, network, "", END) for key, network in (networks or {}).items()],
    )
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=END)
    await repair(database)


async def test_what_one_installation_invents_under_any_number_of_keys_is_unconfirmed(
    database: Database,
) -> None:
    await push(database, honest_world())
    before = await compute_window(database)
    invented = [
        held(f"invented{number}", key, "liar") for number in range(30) for key in ("one", "two")
    ]
    await push(database, invented)
    after = await compute_window(database)
    assert after.counts == before.counts
    assert after.reliability == before.reliability
    assert (before.figures.unconfirmed, after.figures.unconfirmed) == (0, 30)
    assert after.channels[0].figures.unconfirmed == 30


async def test_what_is_unconfirmed_gives_a_channel_no_type(database: Database) -> None:
    poll = [held(f"poll{n}", one)._replace(message_type="POLL") for n in range(2) for one in HONEST]
    elsewhere = [sample._replace(channel_id="d") for sample in honest_world()]
    await push(database, [*honest_world(), *poll, *elsewhere])
    before = await compute_window(database)
    invented = [held(f"invented{n}", "liar")._replace(channel_id="d") for n in range(30)]
    await push(database, [sample._replace(message_type="POLL") for sample in invented])
    after = await compute_window(database)
    assert sum(channel.figures.unconfirmed for channel in after.channels) == 30
    assert after.groups == before.groups


async def test_neither_do_two_keys_make_a_quorum(database: Database) -> None:
    await push(database, honest_world())
    before = await compute_window(database, quorum=2)
    await push(database, [held("invented", key, "liar") for key in ("one", "two", "three")])
    assert (await compute_window(database, quorum=2)).counts == before.counts


async def test_a_broken_uplink_counts_up_to_a_tenth_and_is_shown_beyond(
    database: Database,
) -> None:
    await push(database, honest_world(loss=0))
    lost = [f"lost{number}" for number in range(12)]
    await push(database, [held(message, "honest0") for message in lost[:11]])
    found = (await compute_window(database)).channels[0]
    # It invents 11 of 111 messages, and 19 others lack each of them.
    assert (found.counts.missing, found.figures.unconfirmed) == (11 * 19, 0)
    await push(database, [held(message, "honest0") for message in lost])
    found = (await compute_window(database)).channels[0]
    assert (found.counts.missing, found.figures.unconfirmed) == (0, 12)


async def test_a_channel_where_one_alone_is_heard_is_still_there(database: Database) -> None:
    await push(database, [held(message, "honest0") for message in MESSAGES], joined=HONEST)
    window = await compute_window(database)
    (found,) = window.channels
    assert not found.comparable
    assert found.counts.receivers == 20
    assert (found.counts.expected, found.figures.unconfirmed) == (0, 100)
    assert window.figures.unconfirmed == 100


async def test_who_only_says_to_be_in_is_shown_apart(database: Database) -> None:
    await push(database, honest_world())
    before = await compute_window(database)
    await push(database, [], joined=LIARS)
    after = await compute_window(database)
    assert after.counts == before.counts
    assert (before.figures.silent_members, after.figures.silent_members) == (0, 60)


async def test_a_member_whom_others_know_counts_with_everything_missing(
    database: Database,
) -> None:
    """A total loss is a loss: a receiver confirmed in any other channel counts."""
    await push(database, honest_world(loss=0))
    elsewhere = [held("x", one)._replace(channel_id="d") for one in ("known", "honest0")]
    await push(database, elsewhere, joined=["known", "unknown"])
    window = await compute_window(database)
    (found,) = (one for one in window.channels if one.channel_id == "c")
    assert (found.counts.receivers, found.counts.missing) == (21, 100)
    assert found.figures.silent_members == 1


async def test_who_holds_only_what_it_made_up_is_nobody(database: Database) -> None:
    await push(database, honest_world())
    before = await compute_window(database)
    invented = [held(f"invented by {one}", one) for one in LIARS]
    await push(database, invented, joined=LIARS)
    after = await compute_window(database)
    # Each made-up message counts, because it is at most a tenth. Its reporter is still not counted.
    assert after.channels[0].counts.receivers == before.channels[0].counts.receivers
    assert after.figures.silent_members == 60


async def test_behind_one_network_nobody_makes_another_known(database: Database) -> None:
    networks = {one: f"192.0.{number}.0/24" for number, one in enumerate(HONEST)}
    await push(database, honest_world(), networks=networks)
    before = await compute_window(database)
    invented = [held("invented", one) for one in LIARS]
    networks = dict.fromkeys(LIARS, "198.51.100.0/24")
    await push(database, invented, joined=LIARS, networks=networks)
    after = await compute_window(database)
    assert after.channels[0].counts.receivers == before.channels[0].counts.receivers
    assert after.figures.silent_members == 60


async def test_one_installation_is_one_member_that_holds_nothing(database: Database) -> None:
    await push(database, honest_world(loss=0))
    known = held("x", "phone")._replace(channel_id="d")
    elsewhere = [known, held("x", "honest0")._replace(channel_id="d")]
    writer = RowWriter(await database.keyring(), SettleRule())
    batch = Batch()
    batch.add_memberships(
        writer.keyring,
        [ReportedMembership("c", key, "phone", END, START - DAY_MS, 0) for key in LIARS],
    )
    for key in LIARS:
        batch.add_heartbeat(writer.keyring, Heartbeat(key, "phone", "", "", END + MINUTE_MS))
    async with database.acquire() as connection:
        await writer.write(connection, batch, now_ms=END)
    await push(database, elsewhere)
    window = await compute_window(database)
    (found,) = (one for one in window.channels if one.channel_id == "c")
    assert (found.counts.receivers, found.counts.missing) == (21, 100)
    assert found.figures.silent_members == 59


async def test_an_author_whom_others_hear_is_somebody(database: Database) -> None:
    """It gets no message at all, and that loss counts."""
    await push(database, honest_world(loss=0))
    wrote = held("m1", "author")._replace(sent_by_receiver=True)
    await push(database, [wrote], joined=["author"])
    window = await compute_window(database)
    assert (window.counts.missing, window.figures.silent_members) == (99, 0)


async def test_it_is_remembered_who_was_known(database: Database) -> None:
    hour_before = START - HOUR_MS + MINUTE_MS
    elsewhere = [
        held("x", one, sent_at=hour_before)._replace(channel_id="d") for one in ("known", "honest0")
    ]
    await push(database, [*honest_world(loss=0), *elsewhere], joined=["known"])
    assert (await compute_window(database)).figures.silent_members == 1
    await compute_window(database, START - HOUR_MS)
    window = await compute_window(database)
    assert (window.figures.silent_members, window.counts.missing) == (0, 100)


@pytest.mark.parametrize("liars", [1, 9])
async def test_one_date_more_moves_no_message(liars: int, database: Database) -> None:
    await push(database, honest_world())
    before = await compute_window(database)
    await push(
        database,
        [
            held(message, liar, sent_at=held(message, liar).sent_at - 5 * DAY_MS)
            for message in MESSAGES
            for liar in LIARS[:liars]
        ],
    )
    after = await compute_window(database)
    assert after.counts.messages == before.counts.messages
    assert after.counts.missing == before.counts.missing


async def test_who_only_claims_to_be_the_author_does_not_move_delays(database: Database) -> None:
    wrote = [held(message, "author")._replace(sent_by_receiver=True) for message in MESSAGES]
    wrote = [sample._replace(received_at=sample.sent_at) for sample in wrote]
    await push(database, [*honest_world(), *wrote])
    before = await compute_window(database)
    claims = [
        sample._replace(
            receiver_public_key="liar",
            installation_id="liar",
            received_at=sample.sent_at - 10 * MINUTE_MS,
        )
        for sample in wrote
    ]
    await push(database, claims)
    after = await compute_window(database)
    assert after.figures.delays == before.figures.delays


async def test_invented_installations_behind_one_network_have_one_word(
    database: Database,
) -> None:
    networks = {one: f"192.0.{number}.0/24" for number, one in enumerate(HONEST)}
    await push(database, honest_world(), networks=networks)
    before = await compute_window(database)
    invented = [held(f"invented{number}", liar) for number in range(30) for liar in LIARS[:8]]
    await push(database, invented, networks=dict.fromkeys(LIARS[:8], "198.51.100.0/24"))
    after = await compute_window(database)
    assert after.counts == before.counts
    assert after.figures.unconfirmed == 30


async def test_where_all_are_behind_one_network_it_says_nothing(database: Database) -> None:
    """A server behind an unknown proxy sees only one address."""
    everyone = dict.fromkeys([*HONEST, *LIARS], "192.0.2.0/24")
    await push(database, honest_world(), networks=everyone)
    assert (await compute_window(database)).figures.unconfirmed == 0


@pytest.mark.parametrize("together", [True, False])
@pytest.mark.parametrize("message_type", ["TEXT", ""])
async def test_who_reports_by_an_interface_without_tokens_hides_no_message_of_others(
    message_type: str, together: bool, database: Database
) -> None:
    """Neither by claiming a type nor a channel that is not measured on that interface."""
    world = [sample._replace(message_type=message_type) for sample in honest_world()]
    claims = [
        held(message, "stranger")._replace(
            message_type="STATUS_UPDATE", source=Source.STATUS_GO, created_at=START + MINUTE_MS
        )
        for message in MESSAGES
    ]
    for first, second in ((claims, world), (world, claims)):
        await empty(database)
        for samples in [[*first, *second]] if together else [first, second]:
            await push(database, samples)
        window = await compute_window(
            database, unmeasured={Source.STATUS_GO: Unmeasured(("c",), ("STATUS_UPDATE",))}
        )
        assert window.counts.messages == len(MESSAGES)
        async with database.acquire() as connection:
            rows = await connection.fetch(
                "select distinct source, message_type from receipt join sample_kind using (kind)"
            )
        assert [tuple(row) for row in rows] == [("grpc", message_type)]


async def test_types_without_end_are_one(database: Database) -> None:
    """Of a channel, 20 types are told apart; the channel's own figures do not depend on that."""
    typed = [
        sample._replace(message_type=f"type{sum(sample.message_id.encode()) % 60}")
        for sample in honest_world()
    ]
    mine = [held(f"mine{n}", "honest1")._replace(message_type=f"mine{n}") for n in range(5)]
    wrote = [
        held(f"wrote{n}", "honest2")._replace(
            message_type=f"type{n}", sent_by_receiver=True, outcome=Outcome.SEND_FAILED
        )
        for n in range(8)
    ]
    samples = [*typed, *mine, *wrote]
    await push(database, [sample._replace(message_type="one") for sample in samples])
    one = await compute_window(database)
    await empty(database)
    await push(database, samples)
    many = await compute_window(database)
    assert many.counts == one.counts
    assert many.figures == one.figures
    types = {group.value for group in many.groups if group.dimension is Dimension.MESSAGE_TYPE}
    assert len(types) == 21
    assert "(other)" in types
    of_types = [g.counts for g in many.groups if g.dimension is Dimension.MESSAGE_TYPE]
    assert sum(counts.missing for counts in of_types) == one.counts.missing
    assert sum(counts.messages for counts in of_types) == one.counts.messages


async def test_of_what_receivers_say_of_themselves_the_most_frequent_is_shown(
    database: Database,
) -> None:
    """Invented versions, platforms and servers do not make more groups."""
    several = [f"{one}-{copy}" for one in HONEST for copy in range(12)]
    said = {one: f"v{number % 80}" for number, one in enumerate(several)}
    samples = [
        held(message, one)._replace(platform=said[one], app_version=said[one], server=said[one])
        for message in MESSAGES[:3]
        for one in several
    ]
    wrote = [samples[number]._replace(message_id=f"own{number}") for number in range(240)]
    wrote = [sample._replace(sent_by_receiver=True) for sample in wrote]
    await push(database, [*samples, *wrote], alive=several)
    window = await compute_window(database)
    for dimension in Dimension:
        groups = [group for group in window.groups if group.dimension is dimension]
        assert len(groups) <= 51
        if dimension is not Dimension.PATH:
            assert sum(group.counts.missing for group in groups) == window.counts.missing
