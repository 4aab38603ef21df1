"""Stored figures that are read back: all vectors, selections, and the JSON of the page."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

import pytest

from devtelemetry.figures import read
from devtelemetry.figures.derive import sum_of
from devtelemetry.figures.document import document, window_as_json
from devtelemetry.figures.read import (
    Selection,
    has_samples,
    latest_windows,
    read_windows,
    start_of_latest,
    stored_timeframes,
)
from devtelemetry.figures.series import points_of
from devtelemetry.model import (
    DELAY_CLASSES,
    HOUR_MS,
    MINUTE_MS,
    ChannelReliability,
    Counts,
    Delays,
    Dimension,
    Figures,
    Group,
    MembershipPolicy,
    Spread,
    Spreads,
    Window,
    WindowReliability,
    WindowState,
    from_unix_ms,
    parse_moment,
)
from devtelemetry.store.database import Database
from oracle.vectors import Vector, read_vectors
from support.store import START, compute_window, store_hours, store_vector

HOUR = timedelta(hours=1)


async def compute_hour(database: Database, hour: int = 0, **options: Any) -> WindowReliability:
    return await compute_window(database, START + hour * HOUR_MS, **options)


async def selected(database: Database, **selection: Any) -> list[WindowReliability]:
    chosen = Selection(**({"timeframe": "1h"} | selection))
    return [window async for window in read_windows(database, chosen)]


def hour_of(window: WindowReliability) -> int:
    return (window.window.start_ms - START) // HOUR_MS


def is_exactly(value: float | None, expected: str | None) -> bool:
    if value is None or expected is None:
        return value is None and expected is None
    return abs(value - float(Fraction(expected))) < 1e-12


@pytest.mark.parametrize("vector", read_vectors(), ids=lambda vector: vector.name)
async def test_every_vector_reads_back_as_the_json_of_the_page(
    vector: Vector, database: Database
) -> None:
    await store_vector(database, vector)
    await compute_window(
        database,
        vector.window_start,
        timeframe=vector.timeframe,
        membership=vector.membership,
    )
    windows = await selected(database, timeframe=vector.timeframe)
    written = json.loads(await as_text(vector.timeframe, windows))

    assert written["timeframe"] == vector.timeframe
    (window,) = written["windows"]
    assert parse_moment(window["start"]) == from_unix_ms(vector.window_start)
    assert parse_moment(window["end"]) == from_unix_ms(vector.window_end)
    assert window["membership"] == vector.membership
    assert is_exactly(window["reliability"], vector.expect["reliability"])
    assert is_exactly(window["delivery_ratio"], vector.expect["delivery_ratio"])
    channels = {channel["channel_id"]: channel for channel in window["channels"]}
    assert channels.keys() == vector.expect["channels"].keys()
    for channel_id, expected in vector.expect["channels"].items():
        channel = channels[channel_id]
        for name in ("messages", "receivers", "expected", "missing", "corroborated", "comparable"):
            assert channel[name] == expected[name], (channel_id, name)
        assert channel["unknown"] == expected.get("unknown", 0), channel_id
        if channel["comparable"]:
            assert is_exactly(channel["reliability"], expected["reliability"])
            assert is_exactly(channel["delivery_ratio"], expected["delivery_ratio"])
        else:
            assert channel["reliability"] is None
            assert channel["delivery_ratio"] is None
    comparable = [channel for channel in channels.values() if channel["comparable"]]
    for name in ("messages", "receivers", "expected", "missing", "corroborated", "unknown"):
        assert window[name] == sum(channel[name] for channel in comparable), name


def a_window(*channels: ChannelReliability, **figures: Any) -> WindowReliability:
    return WindowReliability(
        timeframe="1h",
        window=Window(from_unix_ms(START), from_unix_ms(START + HOUR_MS)),
        membership=MembershipPolicy.PRESENT,
        state=WindowState.SETTLED,
        reliability=14 / 15,
        counts=COUNTS,
        revision=1,
        computed_at=datetime(2026, 3, 2, 12, 0, 3, 999999, tzinfo=UTC),
        channels=channels,
        **figures,
    )


COUNTS = Counts(messages=5, receivers=3, expected=15, missing=1, corroborated=15)


async def test_the_json_holds_that_of_the_page_to_the_letter() -> None:
    page = json.loads(
        '{"timeframe": "1h", "windows": ['
        '{"start": "2026-03-02T10:00:00Z", "end": "2026-03-02T11:00:00Z", '
        '"membership": "present", "state": "settled", '
        '"reliability": 0.9333333333333333, "delivery_ratio": 0.9333333333333333, '
        '"delivery_ratio_lower": null, "delivery_ratio_upper": null, '
        '"messages": 5, "receivers": 3, "expected": 15, "missing": 1, "corroborated": 15, '
        '"unknown": 0, "revision": 1, "computed_at": "2026-03-02T12:00:03Z", '
        '"channels": ['
        '{"channel_id": "c1", "comparable": true, "reliability": 0.9333333333333333, '
        '"delivery_ratio": 0.9333333333333333, "messages": 5, "receivers": 3, "expected": 15, '
        '"missing": 1, "corroborated": 15, "unknown": 0}]}]}'
    )
    written = json.loads(await as_text("1h", [a_window(ChannelReliability("c1", COUNTS))]))
    assert written.keys() == page.keys()
    (window,), (of_page,) = written["windows"], page["windows"]
    (channel,), (channel_of_page,) = window.pop("channels"), of_page.pop("channels")
    assert {name: window[name] for name in of_page} == of_page
    assert {name: channel[name] for name in channel_of_page} == channel_of_page


async def as_text(timeframe: str, windows: list[WindowReliability]) -> bytes:
    async def one_by_one() -> AsyncIterator[WindowReliability]:
        for window in windows:
            yield window

    return b"".join([piece async for piece in document(timeframe, one_by_one())])


async def test_no_window_is_a_document_too() -> None:
    assert json.loads(await as_text("1h", [])) == {"timeframe": "1h", "windows": []}


def losing(missing: int, clusters: int = 20, pairs: int = 1_000) -> Spreads:
    """The spreads of losses that fall on equal clusters at random."""
    each = pairs // clusters
    lost = [missing // clusters + (n < missing % clusters) for n in range(clusters)]
    spread = Spread(clusters, sum(x * x for x in lost), missing * each, clusters * each * each)
    return Spreads(spread, spread, spread)


def test_the_groups_of_a_window_are_held_against_the_greatest() -> None:
    def group(value: str | None, pairs: int, missing: int) -> Group:
        counts = Counts(100, 20, pairs, missing, pairs)
        delays = Delays((missing, 0, pairs - 2 * missing), (0, 0, pairs - missing))
        filled = Delays(
            *(
                (*one, *(0,) * (DELAY_CLASSES - len(one)))
                for one in (delays.delivery, delays.report)
            )
        )
        return Group(Dimension.PLATFORM, value, counts, losing(missing, pairs=pairs), filled)

    groups = (
        group("android", 1_000, 200),
        group("", 1_000, 25),
        group("desktop", 2_000, 40),
        group(None, 4_000, 100),
    )
    found = window_as_json(a_window(groups=groups), Dimension.PLATFORM)["groups"]
    assert [one["platform"] for one in found] == ["desktop", "", "android", None]
    assert [one["versus"] and one["versus"]["verdict"] for one in found] == [
        None,
        "cannot tell",
        "worse",
        "cannot tell",
    ]
    desktop, _, android, _ = found
    assert desktop["delivery_ratio"] == 0.98
    assert 0.96 < desktop["delivery_ratio_lower"] < 0.98 < desktop["delivery_ratio_upper"] < 0.99
    assert android["versus"]["platform"] == "desktop"
    assert android["versus"]["difference"] == pytest.approx(-0.18)
    assert android["versus"]["difference_upper"] < 0
    assert desktop["on_time"] == {"1m": 0.98, "10m": 0.98, "1h": 0.98}
    assert desktop["delay_ms"] == {"p50": 1000, "p90": 1000, "p99": "not reached"}
    against = window_as_json(a_window(groups=groups), Dimension.PLATFORM, "android")["groups"]
    assert [one["versus"] and one["versus"]["verdict"] for one in against] == [
        "better",
        "better",
        None,
        "better",
    ]
    assert "groups" not in window_as_json(a_window(groups=groups))


def test_with_a_window_from_before_spreads_were_kept_nothing_is_said_of_how_sure_it_is() -> None:
    counts = Counts(50, 20, 1_000, 5, 1_000)
    old = replace(a_window(), counts=counts)
    new = replace(a_window(figures=Figures(losing(0))), counts=replace(counts, missing=0))
    assert sum_of([new]).interval is not None
    for windows in ([old, new], [new, old], [new, old, new]):
        assert sum_of(windows).interval is None
        assert sum_of(windows).counts.missing == 5


async def test_of_one_channel_the_channel_itself_can_be_left_out(database: Database) -> None:
    await store_hours(database, 1, ["c1", "c2"])
    await compute_hour(database)
    (window,) = await selected(database, channel="c2", channels=False)
    assert window.channels == ()
    assert window.counts.expected == 6


def test_a_platform_cannot_call_itself_as_what_is_put_together() -> None:
    counts = Counts(5, 3, 15, 1, 15)
    named = ["", "(other)", "(not said)", "\\(other)", "ios", None]
    groups = tuple(Group(Dimension.PLATFORM, value, counts) for value in named)
    labels = [
        point.labels["platform"]
        for point in points_of(a_window(groups=groups))
        if point.name == "devtelemetry_receivers" and "platform" in point.labels
    ]
    assert sorted(labels) == sorted(
        ["(not said)", "\\(other)", "\\(not said)", "\\\\(other)", "ios", "(other)"]
    )


def test_windows_add_up_to_one_share() -> None:
    windows = [
        a_window(figures=Figures(losing(30))),
        a_window(figures=Figures(losing(30))),
    ]
    total = sum_of(windows)
    assert total.windows == 2
    assert total.counts == Counts(10, 3, 30, 2, 30)
    assert total.spreads.over_memberships.clusters == 40
    assert sum_of([]).counts == Counts(0, 0, 0, 0, 0)
    empty_hour = replace(a_window(), counts=Counts(0, 0, 0, 0, 0))
    assert sum_of([*windows, empty_hour]).windows == 2


async def test_a_window_reads_back_as_it_was_computed(database: Database) -> None:
    await store_hours(database, 1, ["z", "a", "m"])
    computed = await compute_hour(database)
    (read,) = await selected(database)
    assert [channel.channel_id for channel in read.channels] == ["a", "m", "z"]
    assert read.channels == tuple(sorted(computed.channels, key=lambda c: c.channel_id))
    assert (read.counts, read.reliability) == (computed.counts, computed.reliability)
    assert (read.window, read.state, read.computed_at) == (
        computed.window,
        computed.state,
        computed.computed_at,
    )


async def test_windows_come_oldest_first_and_by_membership(database: Database) -> None:
    await store_hours(database, 3)
    for hour, membership in ((2, "window"), (0, "window"), (2, "bracketed"), (0, "present")):
        await compute_hour(database, hour, membership=membership)
    assert [(hour_of(w), w.membership.value) for w in await selected(database)] == [
        (0, "present"),
        (0, "window"),
        (2, "bracketed"),
        (2, "window"),
    ]


async def test_all_windows_come_however_they_are_sliced(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store_hours(database, 6)
    for hour in range(6):
        for membership in MembershipPolicy:
            await compute_hour(database, hour, membership=membership)
    whole = await selected(database)
    assert len(whole) == 18
    for slice_windows in (1, 2, 3, 6, 18):
        monkeypatch.setattr(read, "SLICE_WINDOWS", slice_windows)
        assert await selected(database) == whole


@pytest.mark.parametrize(
    ("start_minutes", "end_minutes", "hours"),
    [
        (None, None, [0, 1, 2]),
        (60, 120, [1]),
        (59, 121, [0, 1, 2]),
        (61, 62, [1]),
        (120, None, [2]),
        (None, 60, [0]),
        (180, None, []),
        (None, 0, []),
    ],
)
async def test_a_window_is_selected_if_it_overlaps_from_and_to(
    database: Database, start_minutes: int | None, end_minutes: int | None, hours: list[int]
) -> None:
    await store_hours(database, 3)
    for hour in range(3):
        await compute_hour(database, hour)

    def at(minutes: int | None) -> datetime | None:
        return None if minutes is None else from_unix_ms(START + minutes * MINUTE_MS)

    windows = await selected(database, start=at(start_minutes), end=at(end_minutes))
    assert [hour_of(window) for window in windows] == hours


async def test_only_the_windows_of_the_timeframe_and_the_policy_come(database: Database) -> None:
    await store_hours(database, 1)
    await compute_hour(database)
    await compute_hour(database, membership="window")
    await compute_hour(database, timeframe="2h")
    assert [w.timeframe for w in await selected(database, timeframe="2h")] == ["2h"]
    (window,) = await selected(database, membership=MembershipPolicy.WINDOW)
    assert window.membership is MembershipPolicy.WINDOW
    assert await selected(database, timeframe="1w") == []


async def test_of_one_channel_the_totals_are_its_own(database: Database) -> None:
    await store_hours(database, 1, ["c1", "c2"])
    whole = await compute_hour(database)
    (window,) = await selected(database, channel="c2")
    (channel,) = window.channels
    assert channel.channel_id == "c2"
    assert window.counts == channel.counts
    assert window.reliability == channel.counts.reliability
    assert (window.revision, window.computed_at) == (whole.revision, whole.computed_at)


async def test_a_window_without_the_channel_stays_without_a_ratio(database: Database) -> None:
    await store_hours(database, 1)
    await compute_hour(database)
    (window,) = await selected(database, channel="nowhere")
    assert window.channels == ()
    assert window.reliability is None
    assert window.counts == Counts(0, 0, 0, 0, 0)


async def test_the_latest_window_of_each_timeframe_and_state_is_one(database: Database) -> None:
    await store_hours(database, 5)
    soon = from_unix_ms(START + 30 * HOUR_MS)
    for hour in range(5):
        await compute_hour(database, hour, now=soon)
    await compute_hour(database, 4, now=from_unix_ms(START + 6 * HOUR_MS))
    await compute_hour(database, 0, membership="window")
    await compute_hour(database, timeframe="2h")
    found = {
        (w.timeframe, w.state.value): hour_of(w)
        for w in await latest_windows(database, MembershipPolicy.PRESENT)
    }
    assert found == {("1h", "settled"): 3, ("1h", "provisional"): 4, ("2h", "settled"): 0}


async def test_the_latest_windows_are_counted_by_their_start_whatever_the_policy(
    database: Database,
) -> None:
    await store_hours(database, 4)
    for hour in range(4):
        await compute_hour(database, hour)
        await compute_hour(database, hour, membership="window")
    selection = Selection("1h")
    assert await start_of_latest(database, selection, 2) == (from_unix_ms(START + 2 * HOUR_MS), 4)
    assert await start_of_latest(database, selection, 9) == (from_unix_ms(START), 4)
    bounded = Selection("1h", end=from_unix_ms(START + HOUR_MS))
    assert await start_of_latest(database, bounded, 2) == (from_unix_ms(START), 1)
    assert await start_of_latest(database, Selection("1d"), 2) == (None, 0)


async def test_stored_timeframes_come_the_shortest_first(database: Database) -> None:
    assert await stored_timeframes(database) == []
    assert not await has_samples(database)
    await store_hours(database, 1)
    await compute_hour(database, timeframe="2h")
    await compute_hour(database, timeframe="1h")
    assert await stored_timeframes(database) == ["1h", "2h"]
    assert await has_samples(database)


@pytest.mark.parametrize(
    "text",
    [
        "2026-03-02T10:00:00Z",
        "2026-03-02T10:00",
        "2026-03-02 10:00:00.000",
        "2026-03-02T11:00:00+01:00",
        "20260302T100000Z",
    ],
)
def test_a_time_is_iso_and_without_a_zone_it_is_utc(text: str) -> None:
    assert parse_moment(text) == from_unix_ms(START)
    assert parse_moment(text).tzinfo is UTC


def test_a_date_is_its_midnight() -> None:
    assert parse_moment("2026-03-02") == from_unix_ms(START) - 10 * HOUR


@pytest.mark.parametrize("text", ["", "yesterday", "1772445600000", "2026-13-01", "10:00"])
def test_what_is_no_time_is_refused_with_what_is_allowed(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time; allowed: ISO 8601, as in"):
        parse_moment(text)
