"""Faults in how apps report are found, and correct apps have no finding."""

from dataclasses import replace
from datetime import timedelta

import pytest

from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.findings import look as looking
from devtelemetry.findings.kinds import Kind
from devtelemetry.findings.look import look
from devtelemetry.findings.read import Finding, newest_findings, read_findings
from devtelemetry.ingest.batch import Batch
from devtelemetry.ingest.rows import RowWriter, SettleRule
from devtelemetry.model import (
    DAY,
    DAY_MS,
    HOUR_MS,
    MINUTE_MS,
    ReportedMembership,
    Sample,
    SentAtClock,
    Source,
    Via,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.server.jobs import Looks
from devtelemetry.simulator.loss import LOSS_MODELS
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from support.seams import MEMBERS, STEP_MS, Told, room, simulated, store_told
from support.simulated import spec
from support.store import LATER, START, empty

RULES = AggregateRules((parse_timeframe("1h"),))
END = from_unix_ms(START + HOUR_MS)


async def found(database: Database, *told: Told, rules: AggregateRules = RULES) -> list[Finding]:
    await store_told(database, *told)
    await look(database, rules, END, now=lambda: LATER)
    return await read_findings(database)


def renamed_by_author(channel: str = "c1") -> Told:
    return room(channel).but(
        lambda one: (
            one._replace(message_id=f"own-{one.message_id}") if one.sent_by_receiver else one
        )
    )


def kinds(findings: list[Finding]) -> list[Kind]:
    return [one.kind for one in findings]


# ------------------------------------------------------------------------------------ honest worlds


@pytest.mark.parametrize("lost", [2, 3, 20])
@pytest.mark.parametrize("members", [MEMBERS, MEMBERS[:2]])
async def test_an_honest_room_has_none_however_much_it_loses(
    database: Database, lost: int, members: tuple[str, ...]
) -> None:
    assert await found(database, room(members=members, lost=lost)) == []


@pytest.mark.slow
@pytest.mark.parametrize("model", sorted(LOSS_MODELS))
async def test_a_simulated_network_has_none(database: Database, model: str) -> None:
    """It has second devices, kills, full outboxes, wiped data, wrong clocks and outsiders."""
    asked = spec(
        nodes=60,
        channels=5,
        messages_per_hour=80.0,
        loss=LOSS_MODELS[model](0.2),
        outsiders=0.5,
        cut_off=0.1,
        wiped=0.3,
        slow=0.1,
        wrong_clocks=0.1,
        wrong_by_ms=10 * MINUTE_MS,
    )
    assert await found(database, simulated(make_world(asked))) == []


async def test_one_device_of_two_that_is_off_for_half_the_time_is_honest(
    database: Database,
) -> None:
    """Then nobody else holds most of what the other one writes."""
    half = START + 60 * STEP_MS
    told = room(members=("ann", "ben")).but(
        lambda one: None if one.receiver_public_key == "ben" and one.sent_at < half else one
    )
    stranger = room("c1", ("ann", "zoe"), messages=240).but(
        lambda one: (
            one._replace(message_id=f"z{one.message_id}", sent_at=one.sent_at + 7_000)
            if one.receiver_public_key == "ann" and not one.sent_by_receiver
            else None
        )
    )
    assert await found(database, told, stranger) == []


# ------------------------------------------------------------------------------------------ planted


async def test_an_author_that_names_its_messages_otherwise(database: Database) -> None:
    told = renamed_by_author()
    (one,) = await found(database, told)
    assert (one.kind, one.platform, one.app_version) == (Kind.IDS_DIFFER, "android", "2.1")
    assert one.channel_id == "c1"
    assert (one.evidence["lone"], one.evidence["messages"]) == (120, 120)
    assert one.evidence["twins"] == one.evidence["looked_at"] == 20
    assert one.see == "docs/messengers.md#ids"


async def test_devices_that_each_name_a_message_for_themselves(database: Database) -> None:
    told = room().but(
        lambda one: one._replace(message_id=f"{one.receiver_public_key}-{one.message_id}")
    )
    assert kinds(await found(database, told)) == [Kind.IDS_DIFFER]


async def test_only_the_version_that_names_them_otherwise_is_told(database: Database) -> None:
    told = room().but(
        lambda one: (
            one._replace(
                platform="ios",
                message_id=f"own-{one.message_id}" if one.sent_by_receiver else one.message_id,
            )
            if one.receiver_public_key == "ann"
            else one
        )
    )
    assert [(one.kind, one.platform) for one in await found(database, told)] == [
        (Kind.IDS_DIFFER, "ios")
    ]


async def test_authors_stamps_and_servers_stamps_by_one_clock(database: Database) -> None:
    told = room().but(
        lambda one: one._replace(sent_at=one.sent_at + 90) if not one.sent_by_receiver else one
    )
    (one,) = await found(database, told)
    assert one.kind is Kind.CLOCKS_MIXED
    assert one.evidence["authors_apart"] == one.evidence["authors_said"] > 100
    assert (one.evidence["median_ms"], one.see) == (90, "docs/messengers.md#times")


async def test_receivers_that_give_their_own_time_as_the_authors(database: Database) -> None:
    def by_own_clock(one: Sample) -> Sample:
        late = 100 * MEMBERS.index(one.receiver_public_key)
        return one._replace(sent_at=one.sent_at + late)

    assert kinds(await found(database, room().but(by_own_clock))) == [Kind.CLOCKS_MIXED]


async def test_receivers_that_say_it_is_their_own_time_are_right(database: Database) -> None:
    def by_own_clock(one: Sample) -> Sample:
        if one.sent_by_receiver:
            return one
        late = 100 * MEMBERS.index(one.receiver_public_key)
        return one._replace(sent_at=one.sent_at + late, sent_at_clock=SentAtClock.RECEIVER)

    assert await found(database, room().but(by_own_clock)) == []


async def test_times_that_are_no_milliseconds(database: Database) -> None:
    writer = RowWriter(await database.keyring(), SettleRule())
    async with database.acquire() as connection:
        for day in (-10, 0):
            batch = Batch()
            batch.wrong_times["ios", "3.0"] = 70
            batch.wrong_times["ios", "2.9"] = 9
            await writer.write(connection, batch, now_ms=START + day * DAY_MS)
    (one,) = await found(database)
    assert (one.kind, one.app_version, one.evidence) == (
        Kind.NOT_MILLISECONDS,
        "3.0",
        {"times": 70},
    )
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from wrong_time") == 2


async def test_a_receiver_that_is_in_many_channels_for_ever(database: Database) -> None:
    many = [room(f"c{number}", messages=12) for number in range(25)]
    ghost = Told(
        room("alive", ("ghost", "ann"), messages=179).samples,
        [
            ReportedMembership(f"c{number}", "ghost", "ghost-phone", START - 1, START - 1, 0)
            for number in range(25)
        ],
    )
    (one,) = await found(database, *many, ghost)
    assert one.kind is Kind.NEVER_LEAVES
    assert dict(one.evidence) == {"receivers": 1, "claimed": 25, "empty": 25}


async def test_an_app_that_leaves_whenever_it_disconnects(database: Database) -> None:
    told = room()
    told.memberships += [
        ReportedMembership("c1", member, f"{member}-phone", at + 1, 0, at)
        for member in MEMBERS
        for at in (START + 5 * MINUTE_MS, START + 15 * MINUTE_MS, START + 25 * MINUTE_MS)
    ]
    (one,) = await found(database, told)
    assert one.kind is Kind.LEAVES_TOO_OFTEN
    assert dict(one.evidence) == {"memberships": 5, "flapping": 5}


async def test_memberships_that_are_never_said_and_begin_with_a_receipt(database: Database) -> None:
    told = room(says_membership=False).but(
        lambda one: (
            None
            if one.receiver_public_key in ("dan", "eve") and one.sent_at < START + 30 * STEP_MS
            else one
        )
    )
    (one,) = await found(database, told)
    assert one.kind is Kind.MEMBERSHIP_NOT_SAID
    assert (one.evidence["unsaid"], one.evidence["began"]) == (5, 2)


async def test_memberships_that_are_never_said_and_miss_nothing_are_right(
    database: Database,
) -> None:
    assert await found(database, room(says_membership=False)) == []


@pytest.mark.parametrize("kind", [Kind.MANY_KEYS, Kind.MANY_INSTALLATIONS])
async def test_a_reporter_under_many_names(database: Database, kind: Kind) -> None:
    def renamed(one: Sample) -> Sample:
        if one.receiver_public_key != "ben":
            return one
        start = one.sent_at // (2 * MINUTE_MS)  # of the app
        if kind is Kind.MANY_KEYS:
            return one._replace(receiver_public_key=f"ben{start}")
        return one._replace(installation_id=f"ben{start}")

    findings = await found(database, room().but(renamed))
    # Each of its names also begins with a receipt.
    assert kinds(findings) == sorted([kind, Kind.MEMBERSHIP_NOT_SAID])
    (one,) = (one for one in findings if one.kind is kind)
    assert one.evidence["reporters"] == 1
    assert one.evidence["most"] > 10


async def test_an_app_that_reports_only_what_arrives(database: Database) -> None:
    told = room(members=(*MEMBERS, "fay"), messages=170).but(
        lambda one: (
            one._replace(sent_by_receiver=False, platform="ios")
            if one.receiver_public_key in MEMBERS
            else one
        )
    )
    (one,) = await found(database, told)
    assert (one.kind, one.platform) == (Kind.SENDING_NOT_SAID, "ios")
    everyone = room("c2", messages=170, lost=1_000).but(
        lambda one: one._replace(sent_by_receiver=False, platform="web")
    )
    await empty(database)
    assert len(everyone.samples) < 1_000
    more = room("c3", messages=170).but(
        lambda one: one._replace(sent_by_receiver=False, platform="web")
    )
    assert kinds(await found(database, everyone, more)) == [Kind.SENDING_NOT_SAID]


async def test_history_that_is_reported_as_live(database: Database) -> None:
    def fetched(one: Sample) -> Sample:
        if one.receiver_public_key != "ben" or one.sent_by_receiver:
            return one
        return one._replace(received_at=START + 50 * MINUTE_MS + one.sent_at % 7)

    (one,) = await found(database, room().but(fetched))
    assert one.kind is Kind.HISTORY_AS_LIVE
    said = room().but(fetched).but(lambda one: one._replace(via=Via.HISTORY))
    await empty(database)
    assert await found(database, said) == []


# ------------------------------------------------------------------------------- what becomes of it


async def test_it_goes_when_a_later_look_does_not_find_it(database: Database) -> None:
    wrong = renamed_by_author()
    assert kinds(await found(database, wrong)) == [Kind.IDS_DIFFER]
    before = await newest_findings(database)
    await look(database, RULES, END + timedelta(minutes=30), now=lambda: LATER + DAY)
    (one,) = await read_findings(database)
    assert (one.found_first, one.found_until) == (LATER, END + timedelta(minutes=30))
    assert await newest_findings(database) != before
    await look(database, RULES, END, now=lambda: LATER)  # of an earlier window, computed again
    assert await read_findings(database) == [one]
    await look(database, RULES, END + 2 * DAY, now=lambda: LATER)
    assert await read_findings(database) == []


async def test_it_is_logged_once(
    database: Database, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    await found(database, renamed_by_author())
    await look(database, RULES, END, now=lambda: LATER)
    logged = capsys.readouterr()
    # Another test may have configured logging in this process, so the line is in one of two places.
    ways = (logged.out + logged.err, caplog.text)
    assert max(way.count("Give a message the same id on its author's device") for way in ways) == 1


async def test_what_is_not_measured_is_not_looked_at(database: Database) -> None:
    wrong = renamed_by_author("x-negotiated")
    rules = replace(RULES, unmeasured={Source.GRPC: Unmeasured(channels=("*-negotiated",))})
    assert await found(database, wrong, rules=rules) == []


async def test_a_look_reads_no_more_than_so_many_receipts(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(looking, "MOST_RECEIPTS", 100)
    told = renamed_by_author()
    (one,) = await found(database, told)
    assert 10 <= one.evidence["messages"] <= 25


def test_a_window_that_is_computed_again_and_again_is_not_looked_at_as_often() -> None:
    looks = Looks(timedelta(minutes=10))
    newer = END + timedelta(hours=1)
    assert looks.begin(END, 0.0) == END
    assert looks.begin(END, 60.0) is None
    assert looks.begin(newer, 120.0) == newer, "a newer window is looked at, however soon"
    assert looks.begin(END, 180.0) is None
    assert looks.begin(END, 720.0) == newer, "what came late may be of the newest day too"
    assert looks.begin(newer, 780.0) is None
