"""A page about one subject shows the figures stored for it, and says what is not stored."""

import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace

import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st

from devtelemetry import words
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.aggregate.table import cross_table
from devtelemetry.dashboard.drawing import draw_subject
from devtelemetry.dashboard.reading import Reader
from devtelemetry.dashboard.state import PageState, narrow, read_asked
from devtelemetry.dashboard.views.subject import name_of, subject_page, way_to
from devtelemetry.dashboard.views.values import SubjectPage
from devtelemetry.estimate.verdict import Word
from devtelemetry.figures.derive import Totals, sum_of
from devtelemetry.figures.narrow import beside_the_rest, of_group, of_loss, only
from devtelemetry.figures.read import Selection, lossy_channels, read_windows, sums_of_channels
from devtelemetry.model import (
    HOUR_MS,
    Counts,
    Dimension,
    LossClass,
    MembershipPolicy,
    Outcome,
    Sample,
    Spread,
    Spreads,
    Window,
    WindowReliability,
    from_unix_ms,
    parse_timeframe,
)
from devtelemetry.problems.explain import Kind, Unit
from devtelemetry.problems.problem import Problem, Problems
from devtelemetry.store.database import Database
from support.store import LATER, START, compute_window, store

PRESENT = MembershipPolicy.PRESENT
HOUR = parse_timeframe("1h")
HOURS = 3
RULES = AggregateRules((HOUR,))
HOSTILE = "<b>2.1</b>\u202e"
ASKED = PageState(HOUR, "24h", PRESENT)
VERSION = narrow(ASKED, Dimension.APP_VERSION, HOSTILE)


def samples() -> list[Sample]:
    """Twelve receivers in two channels. One version loses more: it cannot read some messages."""
    return [
        Sample(
            f"m{number}-{channel}",
            channel,
            f"r{member}",
            at,
            at + 1_000,
            received_at=at + 500,
            installation_id=f"i{member}",
            sent_by_receiver=member == number % 12,
            platform=("android", "ios")[member // 2 % 2],
            app_version=("2.0", HOSTILE)[member % 2],
            message_type="text",
            outcome=Outcome.UNREADABLE if lost else Outcome.HELD,
        )
        for number, at in enumerate(
            range(START - 10 * 60_000, START + HOURS * HOUR_MS + 10 * 60_000, 5 * 60_000)
        )
        for channel, rare in (("c1", 4), ("c2", 2))
        for member in range(12)
        for lost in [
            member % 2 == 1 and member != number % 12 and (number + member // 2) % rare == 0
        ]
        if lost or member % 2 or (number + member) % 7
    ]


@pytest_asyncio.fixture
async def world(database: Database) -> AsyncIterator[Database]:
    await store(database, samples())
    for hour in range(HOURS):
        await compute_window(database, START + hour * HOUR_MS)
    yield database


async def stored(
    database: Database, by: Dimension, channel: str | None = None
) -> Sequence[WindowReliability]:
    selection = Selection("1h", channel=channel, membership=PRESENT, by=(by,))
    return [one async for one in read_windows(database, selection)]


async def page_of(database: Database, asked: PageState) -> SubjectPage:
    reader = Reader(database, RULES.timeframes, RULES, lambda: LATER)
    reading = await reader.subject(asked)
    return subject_page(reading, RULES.timeframes, objective=0.99)


# ----------------------------------------------------------------------------------- what is stored


@pytest.mark.parametrize("channel", [None, "c1"])
async def test_a_group_s_page_has_the_sums_of_its_stored_groups(
    world: Database, channel: str | None
) -> None:
    windows = await stored(world, Dimension.APP_VERSION, channel)
    groups = [group for one in windows for group in one.groups if group.value == HOSTILE]
    assert len(groups) == HOURS
    total = sum_of(groups)
    page = await page_of(world, replace(VERSION, channel=channel))
    assert page.headline == words.percent(total.counts.delivery_ratio)
    assert page.headline != words.percent(sum_of(windows).counts.delivery_ratio)
    assert page.interval == words.interval(total.interval)
    said = {fact.label: fact.value for fact in page.facts}
    assert said["Missing"] == words.count(total.counts.missing)
    assert said["Receivers"] == "6"
    assert [point.counts for point in page.points[-HOURS:]] == [one.counts for one in groups]
    assert [bar.count for bar in page.losses[1:5]] == list(total.counts.losses.values())
    assert {row.name: row.current for row in page.groups[0].rows} == {
        words.group(HOSTILE): True,
        "2.0": False,
    }


async def test_since_a_moment_all_sums_are_of_the_windows_from_then_on_and_the_line_is_whole(
    world: Database,
) -> None:
    start, end = from_unix_ms(START), from_unix_ms(START + HOURS * HOUR_MS)
    whole = replace(VERSION, span="", fixed=Window(start, end))
    asked = replace(whole, since=from_unix_ms(START + 3 * HOUR_MS // 2))
    windows = (await stored(world, Dimension.APP_VERSION))[1:]
    total = sum_of(group for one in windows for group in one.groups if group.value == HOSTILE)
    page = await page_of(world, asked)
    assert len(page.points) == HOURS
    assert page.headline == words.percent(total.counts.delivery_ratio)
    said = {fact.label: fact.value for fact in page.facts}
    assert said["Missing"] == words.count(total.counts.missing)
    assert said["Missing"] not in [fact.value for fact in (await page_of(world, whole)).facts]
    assert page.of_what.startswith(f"since {words.utc(windows[0].window.start)}, until")
    assert [bar.count for bar in page.losses[1:5]] == list(total.counts.losses.values())
    rows = {row.name: row.missing for row in page.groups[0].rows}
    assert rows[words.group(HOSTILE)] == words.count(total.counts.missing)
    for row in page.channels:
        of_channel = (await stored(world, Dimension.APP_VERSION, row.name))[1:]
        own = [group for one in of_channel for group in one.groups if group.value == HOSTILE]
        assert row.missing == words.count(sum_of(own).counts.missing)
    last = replace(asked, channel="c1", since=from_unix_ms(START + 2 * HOUR_MS))
    missing = (await page_of(world, last)).missing
    assert missing is not None
    assert missing.window.start == last.since


async def test_where_the_problem_has_another_number_its_page_says_both(world: Database) -> None:
    start, end = from_unix_ms(START), from_unix_ms(START + HOURS * HOUR_MS)
    asked = replace(VERSION, span="", fixed=Window(start, end), since=start)
    reading = await Reader(world, RULES.timeframes, RULES, lambda: LATER).subject(asked)
    ratio = sum_of(reading.tiles).counts.delivery_ratio
    assert ratio is not None
    problem = Problem(
        Unit(Kind.APP_VERSION, HOSTILE), start, start, start, ratio - 0.02, 0.99, 100, 10, 9, 6,
        0.001, None, False, "/",
    )  # fmt: skip

    def relation(problem: Problem) -> str:
        found = replace(reading, problems=Problems(HOUR, PRESENT, end, 9, [problem]))
        return subject_page(found, RULES.timeframes, objective=0.99).relation

    assert relation(problem).startswith(f"{words.percent(ratio - 0.02)} by windows of 1h,")
    assert relation(replace(problem, now=ratio)) == ""
    assert relation(replace(problem, began=end)) == ""
    assert relation(replace(problem, unit=Unit(Kind.APP_VERSION, "2.0"))) == ""


async def test_a_group_is_beside_the_rest_of_the_same_windows(world: Database) -> None:
    windows = await stored(world, Dimension.APP_VERSION)
    others = sum_of(group for one in windows for group in one.groups if group.value == "2.0")
    page = await page_of(world, VERSION)
    assert f"compared with the rest, {words.percent(others.counts.delivery_ratio)}:" in page.rest


async def test_the_channels_in_which_a_group_loses_most_come_first_with_its_share(
    world: Database,
) -> None:
    starts = [from_unix_ms(START + hour * HOUR_MS) for hour in range(HOURS)]
    end = from_unix_ms(START + HOURS * HOUR_MS)
    channels = await lossy_channels(world, "1h", starts[0], end, PRESENT, 5)
    group = (Dimension.APP_VERSION, HOSTILE)
    found = await sums_of_channels(world, "1h", starts, PRESENT, channels, group)
    assert {name for name, _ in found} == {"c1", "c2"}
    for name, totals in found:
        own = await stored(world, Dimension.APP_VERSION, name)
        brute = sum_of(group for one in own for group in one.groups if group.value == HOSTILE)
        assert (totals.counts, totals.spreads) == (brute.counts, brute.spreads)
    page = await page_of(world, VERSION)
    assert [row.name for row in page.channels] == ["c2", "c1"]
    missing = {name: words.count(totals.counts.missing) for name, totals in found}
    assert [row.missing for row in page.channels] == [missing["c2"], missing["c1"]]
    assert "app_version=%3Cb%3E2.1%3C%2Fb%3E" in page.channels[0].href
    assert "so the channel's own page may have more" in page.channels_note


async def test_where_a_group_is_shown_in_no_channel_those_that_lose_most_are_listed(
    world: Database,
) -> None:
    whole = {name: sum_of(await stored(world, Dimension.PLATFORM, name)) for name in ("c1", "c2")}
    pair = narrow(VERSION, Dimension.PLATFORM, "ios")
    for asked, of, where in (
        (pair, "app version <b>2.1</b>\\u202e", "app_version="),
        (narrow(ASKED, Dimension.PATH, "a"), "", ""),
        (replace(ASKED, loss=LossClass.UNREADABLE), "", "loss_class=unreadable"),
    ):
        page = await page_of(world, asked)
        assert [row.name for row in page.channels] == ["c2", "c1"]
        assert page.channels_title == (
            f"Channels in which {of} loses most" if of else "Channels that lose most"
        )
        assert where in page.channels[0].href
        assert "path=" not in page.channels[0].href
        assert "platform=ios" not in page.channels[0].href
        missing = words.count(whole["c2"].counts.missing)
        assert (page.channels[0].missing == missing) == (
            asked.where[:1] == ((Dimension.PATH, "a"),)
        )


async def test_a_class_of_losses_is_the_only_one_that_is_missing(world: Database) -> None:
    (whole,) = [sum_of(await stored(world, Dimension.PLATFORM))]
    page = await page_of(world, replace(ASKED, loss=LossClass.UNREADABLE))
    counts = whole.counts
    assert page.headline == words.percent(1 - counts.unreadable / counts.corroborated)
    assert counts.unreadable < counts.missing
    assert (page.interval, page.rest, page.beside.objective) == ("", "", None)
    assert [bar.count for bar in page.losses[1:5]] == list(counts.losses.values())
    assert all(point.interval is None for point in page.points)
    assert {row.interval for table in page.groups for row in table.rows} == {"–"}
    assert (
        "95 % interval"
        not in draw_subject(page).partition('id="line"')[2].partition("Losses by")[0]
    )


async def test_of_two_groups_there_is_one_window_and_the_page_says_so(world: Database) -> None:
    asked = narrow(VERSION, Dimension.PLATFORM, "ios")
    table = await cross_table(
        world,
        RULES,
        HOUR,
        (Dimension.PLATFORM, Dimension.APP_VERSION),
        start=from_unix_ms(START + (HOURS - 1) * HOUR_MS),
        now=lambda: LATER,
    )
    (cell,) = [one for one in table.cells if (one.row, one.column) == ("ios", HOSTILE)]
    page = await page_of(world, asked)
    assert page.headline == words.percent(cell.counts.delivery_ratio)
    assert page.points == []
    assert "Figures are stored for one group at a time" in page.not_stored
    assert "12:00 UTC to 2026-03-02 13:00 UTC" in page.not_stored
    drawn = draw_subject(page)
    assert 'class="plot"' not in drawn
    across = await page_of(world, replace(VERSION, across=Dimension.PLATFORM))
    (row,) = [one for one in across.groups[0].rows if one.name == "ios"]
    assert (row.missing, row.expected) == (
        words.count(cell.counts.missing),
        words.count(cell.counts.expected),
    )
    read = read_asked(
        dict(pair.split("=") for pair in row.href.partition("?")[2].split("&") if "%" not in pair),
        (HOUR,),
        PRESENT,
        path="/group",
    )
    assert (Dimension.PLATFORM, "ios") in read.where


async def test_a_group_that_nobody_is_in_has_no_figure(world: Database) -> None:
    page = await page_of(world, narrow(ASKED, Dimension.PLATFORM, "nosuch"))
    assert page.headline == ""
    assert page.reason.startswith(words.NOTHING_TO_COMPARE)


async def test_a_channel_without_a_ratio_says_why(world: Database) -> None:
    times = range(START - 60_000, START + 2 * HOUR_MS, 10 * 60_000)
    await store(world, [Sample(f"m{at}", "alone", "r1", at, at + 1_000) for at in times])
    await compute_window(world, START)
    page = await page_of(world, replace(ASKED, channel="alone"))
    assert page.headline == ""
    assert page.reason.startswith(f"{words.NOT_COMPARABLE}: only one receiver counts")
    assert (page.missing, page.missing_problem) == (None, "")


async def test_a_channel_s_page_has_what_is_missing_in_its_worst_window(world: Database) -> None:
    own = await stored(world, Dimension.PLATFORM, "c1")
    worst = max(own, key=lambda one: (one.counts.missing, one.window.start))
    page = await page_of(world, replace(ASKED, channel="c1"))
    assert page.missing is not None
    assert page.missing.window == worst.window
    lacking = {row.name for row in page.missing.receivers}
    assert {name[:8] for name in lacking} == {row.name for row in page.missing.matrix.rows}
    of_version = await page_of(world, replace(VERSION, channel="c1"))
    assert of_version.missing is not None
    assert {row.name for row in of_version.missing.receivers} < lacking
    assert {row.on.split(" ", 1)[1] for row in of_version.missing.receivers} == {
        words.visible(HOSTILE)
    }


async def test_what_clients_say_is_text_on_every_page(world: Database) -> None:
    for asked in (
        VERSION,
        narrow(VERSION, Dimension.PLATFORM, "ios"),
        replace(VERSION, channel="c1", across=Dimension.PLATFORM),
    ):
        drawn = draw_subject(await page_of(world, asked))
        assert "<b>" not in drawn
        assert "\u202e" not in re.sub("<[^>]*>", "", drawn), "attributes alone have it as it is"
        assert "&lt;b&gt;2.1&lt;/b&gt;\\u202e" in drawn


def test_the_way_to_a_page_leads_over_its_parts() -> None:
    asked = replace(narrow(VERSION, Dimension.PLATFORM, "ios"), channel="c1")
    assert name_of(asked) == "c1 · Platform ios · App version <b>2.1</b>\\u202e"
    assert [one.text for one in way_to(asked)] == [
        "c1",
        "Platform ios",
        "App version <b>2.1</b>\\u202e",
        name_of(asked),
    ]
    assert [one.text for one in way_to(replace(ASKED, channel="c1"))] == ["c1"]


# --------------------------------------------------------------------------------- the arithmetic

pairs = st.integers(20, 5_000)


def even(missing: int, corroborated: int, clusters: int) -> Totals:
    one = Spread(
        clusters,
        missing * missing // clusters + 1,
        missing * corroborated // clusters,
        corroborated * corroborated // clusters + 1,
    )
    return Totals(Counts(9, clusters, corroborated, missing, corroborated), Spreads(one, one, one))


@given(n=pairs, m=pairs, data=st.data())
def test_a_part_and_its_rest_make_the_whole(n: int, m: int, data: st.DataObject) -> None:
    x, y = data.draw(st.integers(0, n)), data.draw(st.integers(0, m))
    part, whole = even(x, n, 20), even(x + y, n + m, 40)
    rest = beside_the_rest(part, whole)
    assert rest.ratio == pytest.approx(1 - y / m)
    if rest.verdict is not None and rest.verdict.word is not Word.CANNOT_TELL:
        assert (rest.verdict.word is Word.WORSE) == (x * m > y * n)
    assert beside_the_rest(whole, whole).ratio is None
    assert beside_the_rest(Totals(), whole).ratio is None


def test_a_part_that_surely_loses_more_is_worse_than_the_rest() -> None:
    found = beside_the_rest(even(4_000, 10_000, 100), even(4_100, 60_000, 600)).verdict
    assert found is not None
    assert found.word is Word.WORSE
    assert found.difference.estimate == pytest.approx(-0.4 + 100 / 50_000)


@given(
    losses=st.dictionaries(st.sampled_from(LossClass), st.integers(0, 50)),
    of=st.sampled_from(LossClass),
)
def test_only_one_class_is_left(losses: dict[LossClass, int], of: LossClass) -> None:
    said = {one.value: n for one, n in losses.items() if one is not LossClass.NOT_ARRIVED}
    counts = Counts(1, 9, 500, sum(losses.values()), 400, **said)
    left = only(counts, of)
    assert left.losses == dict.fromkeys(LossClass, 0) | {of: losses.get(of, 0)}
    assert left.missing == losses.get(of, 0)
    assert (left.expected, left.corroborated) == (500, 400)


async def test_a_window_without_the_group_has_no_pairs_of_it(world: Database) -> None:
    window = (await stored(world, Dimension.PLATFORM))[0]
    assert of_group(window, Dimension.PLATFORM, "web").counts == Counts(0, 0, 0, 0, 0)
    assert of_loss(window, LossClass.DROPPED).counts.missing == 0
