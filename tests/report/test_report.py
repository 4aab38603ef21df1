"""The report on a terminal: its width, its words, and what it never shows as a ratio."""

import io
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from devtelemetry.figures.clocks import Clocks
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
)
from devtelemetry.report import report, sentences
from devtelemetry.report.request import ReportRequest

START = 1_772_445_600_000  # 2026-03-02T10:00Z


def made_window(hour: int, counts: Counts, *channels: ChannelReliability) -> WindowReliability:
    start = START + hour * HOUR_MS
    return WindowReliability(
        timeframe="1h",
        window=Window(from_unix_ms(start), from_unix_ms(start + HOUR_MS)),
        membership=MembershipPolicy.PRESENT,
        state=WindowState.PROVISIONAL,
        reliability=counts.reliability,
        counts=counts,
        revision=1,
        computed_at=from_unix_ms(start + HOUR_MS + MINUTE_MS),
        channels=channels,
    )


def printed(windows: Sequence[WindowReliability], width: int, **asked: Any) -> str:
    console = Console(file=io.StringIO(), width=width, highlight=False)
    for part in report.render(
        "1h", MembershipPolicy.PRESENT, windows, windows, ReportRequest(**asked), width
    ):
        console.print(part)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


HUGE = Counts(
    messages=9_999_999, receivers=123_456_789, expected=98_765_432_109, missing=9_999_999,
    corroborated=98_765_432_109,
)  # fmt: skip


@pytest.mark.parametrize("width", [80, 110, 200])
def test_the_table_fits_its_width_and_cuts_no_figure(width: int) -> None:
    text = printed([made_window(0, HUGE, ChannelReliability("0x" + "f" * 300, HUGE))], width)
    assert max(map(len, text.splitlines())) <= width
    for shown in ("2026-03-02 10:00", "provisional", "99.99 %", "98.8G", "9,999,999"):
        assert shown in text
    assert ("123.5M" in text) == (width >= 110)


@pytest.mark.parametrize("width", [80, 110, 200])
def test_what_is_unknown_has_a_column_where_anything_is(width: int) -> None:
    known = made_window(0, Counts(5, 3, 15, 1, 15))
    some = made_window(1, replace(HUGE, unknown=8_888_888))
    assert "unknown" not in printed([known], width)
    text = printed([known, some], width)
    assert "8,888,888" in text
    assert "unknown" in text
    assert max(map(len, text.splitlines())) <= width


@pytest.mark.parametrize(
    ("channels", "said"),
    [
        ([], "nothing to compare"),
        ([ChannelReliability("alone", Counts(3, 1, 0, 0, 0))], "not comparable"),
    ],
    ids=["nobody", "one receiver"],
)
def test_nothing_to_compare_is_said_and_not_drawn_as_a_ratio(
    channels: list[ChannelReliability], said: str
) -> None:
    text = printed([made_window(0, Counts(0, 0, 0, 0, 0), *channels)], 80)
    assert said in text
    assert re.search(r"\d %", text.replace("95 % interval", "")) is None


def test_the_newest_window_is_the_last() -> None:
    counts = Counts(5, 3, 15, 1, 15)
    text = printed([made_window(hour, counts) for hour in range(3)], 80)
    assert text.index("10:00") < text.index("11:00") < text.index("12:00")


def test_the_worst_channels_are_those_of_the_sums_over_the_windows() -> None:
    def channel(name: str, expected: int, missing: int) -> ChannelReliability:
        return ChannelReliability(name, Counts(5, 3, expected, missing, expected))

    windows = [
        made_window(0, Counts(5, 3, 120, 6, 120), channel("busy", 100, 1), channel("quiet", 10, 5)),
        made_window(1, Counts(5, 3, 120, 6, 120), channel("busy", 100, 1), channel("quiet", 90, 0)),
        made_window(2, Counts(5, 3, 120, 6, 120), channel("whole", 100, 0)),
        made_window(3, Counts(5, 3, 0, 0, 0), ChannelReliability("alone", Counts(5, 1, 9, 9, 9))),
    ]
    text = printed(windows, 80).partition("Worst channels")[2]
    rows = [line.split() for line in text.splitlines() if " % " in line][1:]
    assert rows == [
        ["quiet", "95.00", "%", "too", "few", "to", "say", "10", "100", "5"],
        ["busy", "99.00", "%", "too", "few", "to", "say", "10", "200", "2"],
    ]


def a_group(value: str | None, missing: int, clusters: int = 20) -> Group:
    """A group of 1,000 pairs whose losses fall evenly on its clusters."""
    of_each = 1_000 // clusters
    spread = Spread(
        clusters, missing**2 // clusters, missing * of_each, of_each * of_each * clusters
    )
    return Group(
        Dimension.PLATFORM,
        value,
        Counts(50, clusters, 1_000, missing, 1_000),
        Spreads(spread, spread, spread),
        Delays(on_time(1_000 - missing), on_time(1_000 - missing)),
    )


def on_time(pairs: int) -> tuple[int, ...]:
    """Classes of delay: half of the pairs within a second, half within a minute."""
    return tuple(pairs // 2 if known in (2, 7) else 0 for known in range(DELAY_CLASSES))


def test_groups_are_held_against_the_greatest_or_the_one_asked_for() -> None:
    counts = Counts(50, 40, 3_000, 220, 3_000)
    window = replace(
        made_window(0, counts),
        groups=(a_group("android", 200), a_group("ios", 20), a_group(None, 0, clusters=3)),
    )
    text = printed([window, window], 80, by=(Dimension.PLATFORM,))
    assert max(map(len, text.splitlines())) <= 80
    assert "These windows by platform, compared with android\n" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert "verdict" in rows["platform"]
    assert "80.00 %" in rows["android"]
    assert "better" in rows["ios"]
    assert "too few to say" in rows["(other)"]
    assert "2,000" in rows["ios"]  # the sum of both windows
    against = printed([window], 80, by=(Dimension.PLATFORM,), versus="ios")
    assert re.search(r"^android .* worse", against, re.MULTILINE)
    assert "There is no platform 'nokia' here; there are android, ios." in printed(
        [window], 80, by=(Dimension.PLATFORM,), versus="nokia"
    )
    both = printed([window], 80, by=(Dimension.PLATFORM, Dimension.APP_VERSION))
    assert both.index("by platform, compared") < both.index("No window has a breakdown")
    assert "No window has a breakdown" in printed(
        [made_window(0, counts)], 80, by=(Dimension.PLATFORM,)
    )


def test_what_the_windows_come_to_is_said_in_words() -> None:
    group = a_group("ios", 100)
    window = replace(
        made_window(0, group.counts),
        figures=Figures(group.spreads, group.delays, influence=0.2),
        unseen=12.4,
    )
    text = printed([window], 80)
    assert re.search(r"Together 90\.00 % delivered, 95 % interval 8\d\.\d\d–9\d\.\d\d %\.", text)
    said = " ".join(text.split())
    assert "90.00 % within 1 min, 90.00 % within 10 min, 90.00 % within 1 h." in said
    assert "Delay: p50 ≤ 1 min, p90 ≤ 1 min, p99 not reached." in said
    assert "About 12 more messages reached no receiver that reports (estimated)." in said
    assert "In 1 of these windows one installation alone could move R by more than 1.00 %" in said
    assert "one installation alone" not in printed([window], 80, influence_limit=0.3)
    assert "Together" not in printed([made_window(0, Counts(0, 0, 0, 0, 0))], 80)


def test_of_a_sample_it_is_said_how_small_it_is_and_how_many_messages_there_were() -> None:
    group = a_group("ios", 100)
    whole = replace(made_window(0, group.counts), figures=Figures(estimated_messages=500))
    sample = replace(
        made_window(1, group.counts), figures=Figures(one_in=8, estimated_messages=4_000)
    )
    said = " ".join(printed([whole, sample], 80).split())
    assert "Clients report only a sample of the messages, down to one in 8" in said
    assert "About 4,500 messages were sent." in said
    assert "sample of the messages" not in printed([whole], 80)


@pytest.mark.parametrize(
    ("ratios", "line"),
    [
        ([0.5, 0.75, 1.0], "▁▅█"),
        ([0.9, None, 1.0], "▁·█"),
        ([0.99, 0.99], "▅▅"),
        ([None], "·"),
        ([], ""),
    ],
)
def test_a_sparkline_goes_from_the_least_to_the_greatest(
    ratios: list[float | None], line: str
) -> None:
    assert sentences.sparkline(ratios) == line


def test_the_trend_of_several_windows_is_drawn() -> None:
    windows = [made_window(hour, Counts(5, 3, 15, hour, 15)) for hour in range(3)]
    assert "Delivery █▅▁ from 86.67 % to 100.00 %" in printed(windows, 80)
    assert "█" not in printed(windows[:1], 80)


def test_how_many_clocks_are_off_is_said() -> None:
    right = Clocks(9, 5, {"1s": 0, "10s": 0, "1m": 0, "1h": 0}, 0, 0, 20, 900)
    assert sentences.of_clocks(right).plain == (
        "Clocks: 5 receivers reported their clocks; none is off by more than a second."
    )
    off = Clocks(9, 5, {"1s": 3, "10s": 2, "1m": 1, "1h": 0}, 1, 2, 1_500, 90_000)
    assert sentences.of_clocks(off).plain == (
        "Clocks: 3 of 5 reported clocks are off by more than a second (2 by more than 10 s, "
        "1 by more than 1 min): 1 ahead, 2 behind. Delays are corrected for this."
    )


def test_a_channels_name_cannot_paint_the_terminal() -> None:
    evil = "[bold]x[/bold]\x1b[31m\n"
    counts = Counts(5, 3, 15, 1, 15)
    text = printed([made_window(0, counts, ChannelReliability(evil, counts))], 80)
    assert "\x1b" not in text
    assert "[bold]x[/bold…" in text
