"""The drill-down to single messages has the same pairs as the figures, on real PostgreSQL."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aggregate.test_coverage import worlds
from aggregate.test_reliability import worlds as contradictions
from devtelemetry.aggregate.compute import compute_due, compute_one
from devtelemetry.aggregate.rules import AggregateRules, Unmeasured
from devtelemetry.causes import read
from devtelemetry.causes.classify import runs_of
from devtelemetry.causes.read import drill_down
from devtelemetry.causes.request import (
    BadWindow,
    MissingRequest,
    SamplesCleaned,
    TooMuch,
)
from devtelemetry.model import (
    HOUR_MS,
    MINUTE_MS,
    LossClass,
    MembershipPolicy,
    Sample,
    Source,
    Via,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.model.errors import DevTelemetryError, UnknownName
from devtelemetry.retention.clean import clean
from devtelemetry.retention.forget import forget_key
from devtelemetry.store.database import Database
from oracle.messages import Message
from oracle.model import canonical, compute
from oracle.samples import VIAS
from support.compared import OUTCOMES
from support.losses import PLATFORMS, worked_channel, worked_outcomes
from support.store import LATER, START, as_samples, compute_window, empty, store, store_hours
from support.worlds import END, World, several, store_pushes

COUNTS = ("messages", "receivers", "expected", "missing", "corroborated", "unknown")
HOUR = parse_timeframe("1h")
RULES = AggregateRules((HOUR,), unmeasured={Source.GRPC: Unmeasured(channels=("*-negotiated",))})


@pytest.mark.slow
@pytest.mark.parametrize("together", [1, 5])
@settings(
    max_examples=20,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(
    data=st.data(),
    quorum=st.sampled_from([1, 1, 2, 3]),
    cap=st.sampled_from([1.0, 0.5, 0.25]),
    fewest=st.sampled_from([1, 2, 3]),
)
async def test_the_pairs_of_a_channel_are_those_of_the_figures_and_of_the_oracle(
    together: int, data: st.DataObject, quorum: int, cap: float, fewest: int, database: Database
) -> None:
    world = data.draw(several(worlds(), together))
    await empty(database)
    await store_pushes(database, *world.transactions, heartbeats=world.heartbeats)
    for membership in MembershipPolicy:
        rules = replace(
            RULES,
            membership=membership,
            quorum=quorum,
            weight_cap=cap,
            fewest_installations=fewest,
        )
        window = await compute_one(database, rules, HOUR, from_unix_ms(START), now=lambda: LATER)
        of_figures = {channel.channel_id: channel.counts for channel in window.channels}
        of_oracle = compute(
            world.samples,
            START,
            END,
            membership.value,
            heartbeats=world.last_heartbeats,
            numbers=world.numbers,
            lost=world.lost,
            memberships=world.memberships,
            unmeasured_channels=["*-negotiated"],
            quorum=quorum,
            weight_cap=Fraction(cap),
            fewest_installations=fewest,
        ).channels
        assert of_figures.keys() == of_oracle.keys()
        for channel_id in named_channels(world):
            asked = MissingRequest(channel_id, HOUR, from_unix_ms(START))
            async with drill_down(database, rules, asked, now=lambda: LATER) as found:
                if channel_id not in of_figures:
                    assert not (found.counts.messages and found.counts.receivers)
                    assert found.stored is None
                    continue
                assert found.counts == of_figures[channel_id] == found.stored
                oracle = of_oracle[channel_id]
                assert sum(found.patterns.values()) == found.counts.missing == oracle.missing
                assert found.counts.unknown == oracle.unknown
                positions = found.missing_messages()
                lacking = [m async for m in found.details(positions)]
                assert sum(message.pairs.missing for message in lacking) == oracle.missing


def named_channels(world: World) -> set[str]:
    """The channels that are known by name: one of which a device only could not read a message
    without an id is not."""
    return {sample.channel_id for sample in world.samples if sample.message_id}


@pytest.mark.slow
@settings(
    max_examples=50,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(world=contradictions())
async def test_so_they_are_with_marks_of_authors_and_types_that_are_not_measured(
    world: World, database: Database
) -> None:
    await empty(database)
    await store(database, as_samples(world.samples), heartbeats=world.heartbeats)
    unmeasured = {Source.GRPC: Unmeasured(channels=("*-negotiated",), types=("NOISE",))}
    messages, keyring = canonical(world.samples), await database.keyring()
    ids = {one.receiver: keyring.receiver(*one.receiver).receiver_id for one in world.samples}
    for membership in MembershipPolicy:
        rules = replace(RULES, membership=membership, unmeasured=unmeasured)
        of_oracle = compute(
            world.samples,
            START,
            END,
            membership.value,
            heartbeats=world.last_heartbeats,
            unmeasured_channels=["*-negotiated"],
            unmeasured_types=["NOISE"],
        ).channels
        for channel_id in named_channels(world):
            asked = MissingRequest(channel_id, HOUR, from_unix_ms(START))
            async with drill_down(database, rules, asked, now=lambda: LATER) as found:
                counts = found.counts
                if channel_id not in of_oracle:
                    assert not (counts.messages and counts.receivers)
                    continue
                oracle = of_oracle[channel_id]
                for name in COUNTS:
                    assert getattr(counts, name) == getattr(oracle, name), (channel_id, name)
                for name in OUTCOMES:
                    assert getattr(counts, name) == getattr(oracle.counts, name), (channel_id, name)
                # Captures also count receivers that do not count.
                assert sum(found.captures) == oracle.captures.total
                shown = [m async for m in found.details(found.missing_messages())]
                assert Counter(
                    (one.receiver.receiver_id, one.loss_class, one.reason)
                    for message in shown
                    for one in message.lacking
                ) == Counter(
                    (ids[pair.receiver], pair.missing, pair.reason)
                    for pair in oracle.pairs
                    if pair.missing is not None
                )
                for message in shown:
                    proved = messages[channel_id, message.message_id]
                    assert message.went_out == went_out(proved)
                    assert message.ways == {
                        via: sum(proved.receipts[holder].via == said for holder in proved.capturers)
                        for via, said in zip(Via, VIAS, strict=True)
                    }
                lossy = found.lossy_receivers()
                assert sum((Counter(one.losses) for one in lossy), Counter()) == Counter(
                    pair.missing for pair in oracle.pairs if pair.missing is not None
                )


def went_out(message: Message) -> bool | None:
    if message.went_out or message.receipts.keys() - message.authors.keys():
        return True
    return None if message.failure is None else False


# --------------------------------------------------------------------------------- a worked case

GENERAL = MissingRequest("general", HOUR, from_unix_ms(START))


async def look(
    database: Database, rules: AggregateRules = RULES, asked: MissingRequest = GENERAL
) -> dict[str, dict[str, str]]:
    """Message → the receivers that lack it → the pattern."""
    keyring = await database.keyring()
    keys = {keyring.receiver(key, "").receiver_id: key for key in PLATFORMS}
    async with drill_down(database, rules, asked, now=lambda: LATER) as found:
        return {
            message.message_id: {
                keys[one.receiver.receiver_id]: one.pattern.value for one in message.lacking
            }
            async for message in found.details(found.missing_messages())
        }


async def test_each_loss_of_the_worked_channel_has_its_pattern(database: Database) -> None:
    await store(database, worked_channel())
    assert await look(database) == {
        "m3": dict.fromkeys(("ben", "cleo", "dan", "eve"), "lost_by_everyone"),
        "m8": dict.fromkeys(("ann", "cleo"), "scattered"),
        "m5": {"ben": "burst"},
        "m6": {"ben": "burst"},
        "m7": {"ben": "burst"},
        "m9": {"dan": "lost_by_one"},
    }


async def test_a_message_comes_with_what_is_stored_of_it_and_of_its_author(
    database: Database,
) -> None:
    await store(database, worked_channel())
    async with drill_down(database, RULES, GENERAL, now=lambda: LATER) as found:
        first, *_, last = [m async for m in found.details(found.missing_messages())]
    assert (first.message_id, first.envelope_id, first.topics) == ("m3", "0xem3", b"/waku/2/c1")
    assert (first.message_type, first.message_size) == ("CHAT_MESSAGE", 300)
    assert first.sent_at == START + 15 * MINUTE_MS
    assert first.authors == [("android", "2.36.0")]
    assert (first.pairs.held, first.pairs.expected, first.held_elsewhere) == (0, 4, 0)
    assert last.message_id == "m9"
    assert (last.pairs.held, last.pairs.expected) == (3, 4)
    assert [(one.receiver.platform, one.receiver.app_version) for one in last.lacking] == [
        ("android", "2.36.0")
    ]


async def test_each_loss_has_what_became_of_it_and_why(database: Database) -> None:
    await store(database, worked_outcomes())
    await compute_window(database)
    keyring = await database.keyring()
    keys = {keyring.receiver(key, "").receiver_id: key for key in PLATFORMS}
    asked = replace(GENERAL, channel_id="outcomes")
    async with drill_down(database, RULES, asked, now=lambda: LATER) as found:
        assert found.counts == found.stored
        assert found.counts.losses == {
            LossClass.NOT_ARRIVED: 2,
            LossClass.UNREADABLE: 1,
            LossClass.NOT_SENT: 3,
            LossClass.DROPPED: 1,
        }
        assert (found.counts.recovered, found.counts.by_live, found.counts.by_history) == (1, 3, 1)
        messages = {m.message_id: m async for m in found.details(found.missing_messages())}
        assert {
            (name, keys[one.receiver.receiver_id]): (one.loss_class.value, one.reason)
            for name, message in messages.items()
            for one in message.lacking
        } == {
            ("m3", "ben"): ("unreadable", "no_session_key"),
            ("m4", "ben"): ("not_arrived", ""),
            ("m4", "cleo"): ("dropped", "too_large"),
            ("m4", "dan"): ("not_arrived", ""),
            **{("m5", key): ("not_sent", "no_peers") for key in ("ben", "cleo", "dan")},
        }
        assert {name: message.went_out for name, message in messages.items()} == {
            "m3": True,
            "m4": True,
            "m5": False,
        }
        assert messages["m3"].ways == {
            Via.LIVE: 0,
            Via.HISTORY: 1,
            Via.RESENT: 0,
            Via.NOT_SAID: 1,
        }
        losses = {keys[one.receiver.receiver_id]: one.losses for one in found.lossy_receivers()}
        assert losses["cleo"] == {
            LossClass.NOT_ARRIVED: 0,
            LossClass.UNREADABLE: 0,
            LossClass.NOT_SENT: 1,
            LossClass.DROPPED: 1,
        }


async def test_of_what_only_its_author_reports_nobody_says_whether_it_went_out(
    database: Database,
) -> None:
    await store(database, worked_channel())
    async with drill_down(database, RULES, GENERAL, now=lambda: LATER) as found:
        went = {m.message_id: m.went_out async for m in found.details(found.missing_messages())}
    assert went.pop("m3") is None
    assert set(went.values()) == {True}


async def test_receivers_come_with_their_runs(database: Database) -> None:
    await store(database, worked_channel())
    ben = (await database.keyring()).receiver("ben", "").receiver_id
    async with drill_down(database, RULES, GENERAL, now=lambda: LATER) as found:
        worst, *_ = found.lossy_receivers()
        assert worst.receiver.receiver_id == ben
        # It lacks m3, and m5 to m7. It wrote m10.
        assert worst.sequence == b"++e+bbb++."
        assert [run.length for run in runs_of(worst.sequence)] == [1, 3]
        assert found.lossy_receivers(ben) == [worst]
        assert found.missing_messages(ben) == [2, 4, 5, 6]


async def test_how_long_a_burst_is_is_asked_for(database: Database) -> None:
    await store(database, worked_channel())
    found = await look(database, asked=replace(GENERAL, burst=4))
    assert found["m6"] == {"ben": "lost_by_one"}


async def test_what_too_few_vouch_for_is_missing_to_nobody(database: Database) -> None:
    await store(database, worked_channel())
    # Only its author reports m3.
    assert "m3" not in await look(database, replace(RULES, quorum=2))
    few = replace(RULES, fewest_installations=3)
    assert "m3" not in await look(database, replace(few, weight_cap=0.05))
    assert "m3" in await look(database, replace(few, weight_cap=0.1))


async def test_types_that_are_not_measured_are_not_looked_at(database: Database) -> None:
    await store(database, worked_channel())
    unmeasured = {Source.GRPC: Unmeasured(types=("CHAT_MESSAGE",))}
    assert await look(database, replace(RULES, unmeasured=unmeasured)) == {}


async def test_who_was_forgotten_lacks_nothing_and_wrote_nothing(database: Database) -> None:
    await store(database, worked_channel())
    await forget_key(database, "dan")
    found = await look(database)
    assert "m9" not in found
    assert found["m3"].keys() == {"ben", "cleo", "eve"}
    async with drill_down(database, RULES, GENERAL, now=lambda: LATER) as looked:
        m5 = [m async for m in looked.details(looked.missing_messages())][2]
    assert (m5.message_id, m5.authors) == ("m5", [])


async def test_who_is_only_known_to_have_written_is_not_there_by_that(database: Database) -> None:
    def sample(message: str, receiver: str, minute: int, **changes: Any) -> Sample:
        return Sample(
            message, "c", receiver, START + minute * MINUTE_MS, START + HOUR_MS, **changes
        )

    # Ann's mark of m1 is not a receipt, so she is in from m3 on, and m2 is not expected of her.
    mark = sample("m1", "ann", 10, sent_by_receiver=True)._replace(created_at=None)
    of_ben = [sample(f"m{number}", "ben", 10 * number) for number in (1, 2, 3, 4)]
    await store(database, [*of_ben, mark, sample("m3", "ann", 30), sample("m5", "ann", 50)])
    window = await compute_window(database)
    async with drill_down(
        database, RULES, MissingRequest("c", HOUR, from_unix_ms(START)), now=lambda: LATER
    ) as found:
        assert found.counts == found.stored == window.channels[0].counts
        ann = (await database.keyring()).receiver("ann", "").receiver_id
        (of_ann,) = found.lossy_receivers(ann)
        assert of_ann.sequence == b"..+o+"


async def test_ids_sort_as_bytes_where_messages_are_of_one_moment(database: Database) -> None:
    names = ["Z", "a", "ä", "B", "\U0001f600"]
    samples = [
        Sample(name, "c", receiver, START + 1, START + HOUR_MS)
        for name in names
        for receiver in ("x", "y")
        if receiver == "x"
    ] + [
        Sample(at, "c", receiver, at_ms, START + HOUR_MS)
        for receiver in ("x", "y")
        for at, at_ms in (("before", START - 1), ("after", START + HOUR_MS))
    ]
    await store(database, samples)
    async with drill_down(
        database, RULES, MissingRequest("c", HOUR, from_unix_ms(START)), now=lambda: LATER
    ) as found:
        messages = [m.message_id async for m in found.details(found.missing_messages())]
    assert messages == ["B", "Z", "a", "ä", "\U0001f600"]


# ----------------------------------------------------------------------------- what cannot be had


async def refused(database: Database, **changes: Any) -> DevTelemetryError:
    with pytest.raises(DevTelemetryError) as raised:
        await look(database, asked=replace(GENERAL, **changes))
    return raised.value


async def test_a_channel_or_a_window_that_is_not_there_is_said_to_be(database: Database) -> None:
    await store(database, worked_channel())
    error = await refused(database, channel_id="generale")
    assert isinstance(error, UnknownName)
    assert "no channel 'generale'" in str(error)
    error = await refused(database, start=None)
    assert isinstance(error, UnknownName)
    assert "no 1h window with figures of this channel was computed" in str(error)
    error = await refused(database, start=from_unix_ms(START + MINUTE_MS))
    assert isinstance(error, BadWindow)
    assert "starts at 2026-03-02T10:00:00+00:00" in str(error)
    with pytest.raises(BadWindow, match="in the future"):
        async with drill_down(database, RULES, GENERAL, now=lambda: from_unix_ms(END - 1)):
            pass


async def test_a_receiver_that_does_not_count_is_said_not_to(database: Database) -> None:
    await store(database, worked_channel())
    async with drill_down(database, RULES, GENERAL, now=lambda: LATER) as found:
        for only in (0, -(2**63), 2**63 - 1):
            with pytest.raises(UnknownName, match="does not count"):
                found.missing_messages(only)


async def test_without_a_start_it_is_the_latest_window_that_has_the_channel(
    database: Database,
) -> None:
    await store(database, worked_channel())
    await store_hours(database, 4, ["other"])
    for hour in range(3):
        await compute_window(database, START + hour * HOUR_MS)
    async with drill_down(
        database, RULES, replace(GENERAL, start=None), now=lambda: LATER
    ) as found:
        # In later hours nobody reports messages of `general`, but they do of `other`.
        assert found.window.start_ms == START


async def test_of_a_day_that_was_cleaned_only_figures_are_left(database: Database) -> None:
    await store(database, worked_channel())
    rules = AggregateRules((HOUR,), settle_time=timedelta(0))
    later = from_unix_ms(START) + timedelta(days=9)
    await compute_due(database, rules, now=lambda: later)
    assert (await clean(database, rules, timedelta(days=7), now=lambda: later)).dropped
    error = await refused(database)
    assert isinstance(error, SamplesCleaned)
    assert "allowed: windows from 2026-03-03T00:00:00+00:00 on" in str(error)


@pytest.mark.parametrize(
    ("limit", "most", "what"),
    [("MOST_MESSAGES", 9, "messages"), ("MOST_PAIRS", 39, "receipts"), ("MOST_PAIRS", 49, "pairs")],
)
async def test_more_than_can_be_held_in_memory_is_refused_with_what_to_do(
    database: Database, monkeypatch: pytest.MonkeyPatch, limit: str, most: int, what: str
) -> None:
    await store(database, worked_channel())
    monkeypatch.setattr(read, limit, most)
    error = await refused(database)
    assert isinstance(error, TooMuch)
    assert f"more than {most} {what}" in str(error)
    assert "choose a shorter timeframe" in str(error)
    # The shorter timeframe need not be one that is computed.
    assert await look(database, asked=replace(GENERAL, timeframe=parse_timeframe("15m"))) == {}


async def test_what_was_computed_is_beside_what_there_is_now(database: Database) -> None:
    await store(database, worked_channel())
    await compute_window(database)
    late = next(sample for sample in worked_channel() if sample.message_id == "m4")
    await store(
        database,
        [
            late._replace(
                message_id="m3",
                sent_at=START + 15 * MINUTE_MS,
                receiver_public_key="ben",
                sent_by_receiver=False,
            )
        ],
    )
    async with drill_down(database, RULES, GENERAL, now=lambda: LATER) as found:
        assert found.stored is not None
        assert found.counts.missing == found.stored.missing - 1


async def test_what_import_brings_out_of_order_is_put_right_first(database: Database) -> None:
    """An earlier sample says another sentAt. The receipts move before they are read."""
    await store(database, worked_channel())
    m9 = START + 45 * MINUTE_MS
    early = Sample("m9", "general", "dan", m9 + 1_000, START)
    await store(database, [early])
    found = await look(database)
    assert "m9" not in found
    assert found["m3"].keys() == {"ben", "cleo", "dan", "eve"}
