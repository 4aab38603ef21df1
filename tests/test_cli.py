"""The command line, as a user meets it: output, exit status, one line where something is wrong."""

import inspect
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from devtelemetry import __version__, words
from devtelemetry.cli.commands.serve import serve, shared_metrics
from devtelemetry.cli.options import option_of
from devtelemetry.cli.work import report as report_work
from devtelemetry.cli.work import windows as windows_work
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
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import utc_now
from devtelemetry.settings.names import option_name
from devtelemetry.settings.settings import Settings
from devtelemetry.settings.table import default_text, description, settings_table
from support.program import Done, Run
from support.server import command, postmaster_pid, wait_until_gone

START = 1_772_445_600_000  # 2026-03-02T10:00Z
START_ISO = "2026-03-02T10:00:00Z"


def program(
    *arguments: str, text: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """The program as a process."""
    return subprocess.run(
        command(*arguments),
        input=text,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )


def sample(message: str = "m1", receiver: str = "a", **changes: Any) -> dict[str, Any]:
    return {
        "messageId": message,
        "channelId": "c1",
        "receiverPublicKey": receiver,
        "sentAt": START + 60_000,
        "createdAt": START + HOUR_MS + 5_000,
    } | changes


def written(path: Path, samples: Sequence[dict[str, Any]]) -> str:
    path.write_text("".join(json.dumps(one) + "\n" for one in samples), encoding="utf-8")
    return str(path)


@pytest.fixture
def file(tmp_path: Path) -> str:
    """Four receivers of two messages, one of them lacks one; all report after the window."""
    samples = [
        sample(message, receiver)
        for message in ("m1", "m2")
        for receiver in "abcd"
        if (message, receiver) != ("m2", "d")
    ]
    after = [sample("later", receiver, sentAt=START + HOUR_MS) for receiver in "abcd"]
    return written(tmp_path / "samples.ndjson", samples + after)


def aggregate(run: Run, timeframe: str = "1h", start: str = START_ISO, *more: str) -> Done:
    return run("aggregate", f"--timeframe={timeframe}", f"--window-start={start}", *more)


# ------------------------------------------------------------------------------- the whole path


def test_the_bundled_database_needs_nothing_said_but_where(
    plain_run: Run, file: str, tmp_path: Path
) -> None:
    at = f"--data-dir={tmp_path / 'data'}"
    assert plain_run("import", file, at).out == "imported 11, duplicates 0, rejected 0\n"
    assert plain_run("import", file, at).out == "imported 0, duplicates 11, rejected 0\n"
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()


def test_a_file_of_settings_is_enough(
    plain_run: Run, database_url: str, tmp_path: Path, file: str
) -> None:
    toml = tmp_path / "devtelemetry.toml"
    toml.write_text(f'database_url = "{database_url}"\ntimeframes = ["15m", "1d"]\n')
    assert plain_run("import", file, f"--config={toml}").status == 0
    assert plain_run("report", "--json", f"--config={toml}").document["timeframe"] == "15m"


# -------------------------------------------------------------------------------------- import


def test_import_ends_with_its_counts_and_reports_bad_lines_by_number(
    run: Run, tmp_path: Path
) -> None:
    path = tmp_path / "samples.ndjson"
    good = json.dumps(sample())
    path.write_text(f"{good}\nno json\n{good}\n{json.dumps(sample('m2', sentAt=1))}\n")
    done = run("import", str(path))
    assert done.status == 1
    assert done.out == "imported 1, duplicates 1, rejected 2\n"
    first, second = done.err.splitlines()
    assert first.startswith("line 2: no JSON: ")
    assert second == (
        "line 4: sentAt: 1 looks like seconds; allowed: Unix milliseconds (not_milliseconds)"
    )


def test_after_twenty_bad_lines_the_rest_is_counted(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "samples.ndjson"
    path.write_text("bad\n" * 25)
    done = run("import", str(path))
    assert done.err.splitlines()[-1] == "and 5 more lines"
    assert len(done.err.splitlines()) == 21
    assert done.out == "imported 0, duplicates 0, rejected 25\n"


def test_import_reads_standard_input(database_url: str) -> None:
    done = program("import", "-", f"--database={database_url}", text=json.dumps(sample()))
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "imported 1, duplicates 0, rejected 0\n",
        "",
    )


def test_a_file_that_is_not_there_is_one_line(run: Run) -> None:
    done = run("import", "/nowhere/samples.ndjson")
    assert done == Done(
        1,
        "",
        "devtelemetry: /nowhere/samples.ndjson cannot be read: No such file or directory\n",
    )


def test_on_a_terminal_import_shows_a_bar_that_goes_away(database_url: str, file: str) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        command("import", file, f"--database={database_url}"),
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env={**os.environ, "TERM": "xterm"},
    )
    os.close(theirs)
    shown = io.BytesIO()
    while piece := _read_terminal(ours):
        shown.write(piece)
    assert process.communicate()[0] == "imported 11, duplicates 0, rejected 0\n"
    assert process.returncode == 0
    assert b"100%" in shown.getvalue() or "━" in shown.getvalue().decode()
    os.close(ours)


def _read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 4096)
    except OSError:  # EIO: the other end is closed
        return b""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_import_that_is_interrupted_leaves_no_database_behind(
    number: signal.Signals, tmp_path: Path
) -> None:
    data_dir = tmp_path / "data"
    process = subprocess.Popen(
        command("import", "-", f"--data-dir={data_dir}"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    started = time.monotonic()
    pid_file = data_dir / "postgres" / "postmaster.pid"
    while not (pid_file.exists() and pid_file.read_text()):
        assert time.monotonic() - started < 60
        assert process.poll() is None
    postmaster = postmaster_pid(data_dir)
    process.send_signal(number)
    # Its standard input stays open: it must not wait for the end of that.
    status = process.wait(timeout=60)
    assert process.stdin is not None
    assert process.stderr is not None
    assert process.stdout is not None
    error = process.stderr.read()
    for stream in (process.stdin, process.stdout, process.stderr):
        stream.close()
    assert status == (130 if number == signal.SIGINT else 143), error
    assert "Traceback" not in error
    wait_until_gone([postmaster])


# -------------------------------------------------------------------------------------- export


def test_what_is_exported_imports_as_nothing_new(run: Run, file: str, tmp_path: Path) -> None:
    run("import", file)
    exported = run("export")
    assert exported.status == 0
    assert len(exported.out.splitlines()) == 11
    copy = tmp_path / "copy.ndjson"
    copy.write_text(exported.out)
    assert run("import", str(copy)).out == "imported 0, duplicates 11, rejected 0\n"
    assert run("export").out == exported.out


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_who_stops_reading_an_export_early_causes_no_noise(
    run: Run, database_url: str, tmp_path: Path, unbuffered: str
) -> None:
    samples = [sample(f"m{n}", topics="A" * 400) for n in range(3_000)]
    assert run("import", written(tmp_path / "many.ndjson", samples)).status == 0
    reader = subprocess.Popen(
        command("export", f"--database={database_url}"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
    )
    assert reader.stdout is not None
    assert reader.stderr is not None
    assert reader.stdout.readline().startswith('{"messageId"')
    reader.stdout.close()
    assert reader.stderr.read() == ""
    assert reader.wait(timeout=60) == 1
    reader.stderr.close()


# ----------------------------------------------------------------------------------- aggregate


def test_aggregate_computes_what_is_due_and_then_nothing(run: Run, file: str) -> None:
    run("import", file)
    done = run("aggregate", "--timeframes=1h")
    assert done.status == 0
    *windows, last = done.out.splitlines()
    assert last == f"computed {len(windows)}"
    assert windows[0] == (
        "1h 2026-03-02T10:00:00Z present settled: "
        "delivery ratio 87.50 % (1 of 8 missing), R 87.50 %"
    )
    assert run("aggregate", "--timeframes=1h").out == "computed 0: no window is due\n"


def test_one_window_is_computed_by_any_policy(run: Run, file: str) -> None:
    run("import", file)
    assert aggregate(run, "1h", START_ISO, "--membership=window").out.startswith(
        "1h 2026-03-02T10:00:00Z window settled: delivery ratio "
    )
    (window,) = run("report", "--json").document["windows"]
    assert window["membership"] == "window"


def test_a_window_without_anything_to_compare_has_no_ratio(run: Run) -> None:
    assert aggregate(run).out == "1h 2026-03-02T10:00:00Z present settled: nothing to compare\n"


@pytest.mark.parametrize(
    "arguments", [("--timeframe=1h",), (f"--window-start={START_ISO}",)], ids=["frame", "start"]
)
def test_half_a_window_is_a_usage_error(run: Run, arguments: tuple[str, ...]) -> None:
    done = run("aggregate", *arguments)
    assert done.status == 2
    assert done.err.startswith("devtelemetry: --timeframe and --window-start name a window ")


def test_a_window_that_does_not_exist_is_refused_with_the_nearest(run: Run) -> None:
    done = aggregate(run, "1h", "2026-03-02T10:30Z")
    assert done.status == 1
    assert "no 1h window starts at 2026-03-02T10:30:00+00:00; " in done.err
    assert "2026-03-02T10:00:00+00:00" in done.err


# -------------------------------------------------------------------------------------- report


def test_an_empty_database_says_what_to_do_next(run: Run, file: str) -> None:
    empty = run("report")
    assert empty.status == 0
    assert "There are no samples yet." in empty.out
    assert "devtelemetry import FILE" in " ".join(empty.out.split())
    run("import", file)
    assert "no window has been computed yet. `devtelemetry aggregate`" in " ".join(
        run("report").out.split()
    )
    aggregate(run)
    assert run("report", "--timeframe=1w").out == "No window matches. There are windows of 1h.\n"


def test_report_shows_the_figures_of_every_policy(run: Run, file: str) -> None:
    run("import", file)
    for policy in ("present", "window"):
        aggregate(run, "1h", START_ISO, f"--membership={policy}")
    text = run("report").out
    assert "1h windows, membership present, UTC" in text
    assert "1h windows, membership window, UTC" in text
    rows = [line.split() for line in text.splitlines() if line.startswith("2026-03-02 10:00")]
    assert rows[0][2:] == [
        "settled",
        "87.50",
        "%",
        "87.50",
        "%",
        "too",
        "few",
        "to",
        "say",
        "8",
        "1",
    ]
    only = run("report", "--membership=window").out
    assert "membership present" not in only
    assert "membership window" in only


def test_report_json_selects_like_the_page_says(run: Run, file: str) -> None:
    run("import", file)
    aggregate(run, "1h", START_ISO)
    aggregate(run, "1h", "2026-03-02T11:00")
    aggregate(run, "1d", "2026-03-02")

    def starts(*arguments: str) -> list[str]:
        return [w["start"] for w in run("report", "--json", *arguments).document["windows"]]

    assert starts() == [START_ISO, "2026-03-02T11:00:00Z"]
    assert starts("--timeframe=1d") == ["2026-03-02T00:00:00Z"]
    assert starts("--from=2026-03-02T11:00") == ["2026-03-02T11:00:00Z"]
    assert starts("--to=2026-03-02T11:00") == [START_ISO]
    assert starts("--membership=bracketed") == []
    (first, _) = run("report", "--json", "--channel=c1").document["windows"]
    assert [channel["channel_id"] for channel in first["channels"]] == ["c1"]


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--timeframe=1x",), "--timeframe: '1x' is no timeframe; allowed: "),
        (("--from=soon",), "--from: 'soon' is no time; allowed: ISO 8601, as in "),
        (("--from=2026-03-03", "--to=2026-03-02"), "--from: 2026-03-03 does not lie before "),
    ],
)
def test_a_bad_question_is_a_usage_error(run: Run, arguments: tuple[str, ...], line: str) -> None:
    done = run("report", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"devtelemetry: {line}")
    assert done.err.count("\n") == 1


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
        "1h", MembershipPolicy.PRESENT, windows, ReportRequest(**asked), width
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
    """Of 1,000 pairs, whose losses fall on its clusters evenly."""
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
    """Half of them within a second, half within a minute."""
    return tuple(pairs // 2 if known in (2, 7) else 0 for known in range(DELAY_CLASSES))


def test_groups_are_held_against_the_greatest_or_the_one_asked_for() -> None:
    counts = Counts(50, 40, 3_000, 220, 3_000)
    window = replace(
        made_window(0, counts),
        groups=(a_group("android", 200), a_group("ios", 20), a_group(None, 0, clusters=3)),
    )
    text = printed([window, window], 80, by=Dimension.PLATFORM)
    assert max(map(len, text.splitlines())) <= 80
    assert "These windows by platform, compared with android\n" in text
    rows = {line.split()[0]: line for line in text.splitlines() if line}
    assert "verdict" in rows["platform"]
    assert "80.00 %" in rows["android"]
    assert "better" in rows["ios"]
    assert "too few to say" in rows["(other)"]
    assert "2,000" in rows["ios"]  # of both windows
    against = printed([window], 80, by=Dimension.PLATFORM, versus="ios")
    assert re.search(r"^android .* worse", against, re.MULTILINE)
    assert "There is no platform 'nokia' here; there are android, ios." in printed(
        [window], 80, by=Dimension.PLATFORM, versus="nokia"
    )
    assert "No window has been broken down" in printed(
        [made_window(0, counts)], 80, by=Dimension.PLATFORM
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
    assert "In 1 of these windows one receiver alone could move R by more than 1.00 %" in said
    assert "one receiver alone" not in printed([window], 80, influence_limit=0.3)
    assert "Together" not in printed([made_window(0, Counts(0, 0, 0, 0, 0))], 80)


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
        "Clocks: 5 receivers told their clocks, and none is off by more than a second."
    )
    off = Clocks(9, 5, {"1s": 3, "10s": 2, "1m": 1, "1h": 0}, 1, 2, 1_500, 90_000)
    assert sentences.of_clocks(off).plain == (
        "Clocks: 3 of 5 that were told are off by more than a second (2 by more than 10 s, "
        "1 by more than 1 min): 1 ahead, 2 behind. Delays are corrected for it."
    )


def test_a_channels_name_cannot_paint_the_terminal() -> None:
    evil = "[bold]x[/bold]\x1b[31m\n"
    counts = Counts(5, 3, 15, 1, 15)
    text = printed([made_window(0, counts, ChannelReliability(evil, counts))], 80)
    assert "\x1b" not in text
    assert "[bold]x[/bold…" in text


@pytest.mark.parametrize(
    ("ratio", "shown"),
    [
        (1.0, "100.00 %"),
        (0.999999, "99.99 %"),
        (14 / 15, "93.33 %"),
        (0.0, "0.00 %"),
        (None, "–"),
    ],
)
def test_what_is_not_all_never_reads_as_all(ratio: float | None, shown: str) -> None:
    assert words.percent(ratio) == shown


def test_only_the_latest_windows_are_shown_unless_asked(
    run: Run, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "LATEST_WINDOWS", 1)
    run("import", file)
    aggregate(run, "1h", START_ISO)
    aggregate(run, "1h", "2026-03-02T11:00")
    text = run("report").out
    assert "2026-03-02 11:00" in text
    assert "2026-03-02 10:00" not in text
    assert "1 earlier windows are stored; --from shows them." in text
    assert "2026-03-02 10:00" in run("report", "--from=2026-03-02").out


# ------------------------------------------------------------------------------- clean, forget


def test_clean_keeps_a_day_until_its_windows_are_settled(
    run: Run, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("import", file)
    kept = run("clean", "--timeframes=1d")
    assert kept.status == 0
    *days, last = kept.out.splitlines()
    assert re.fullmatch(r"kept 2026-03-02: the .* window of .* is not settled.*", days[0])
    assert last == "dropped 0, kept 1"
    # Well after the import, so that no window waits for more of it.
    later = utc_now() + timedelta(hours=1)
    monkeypatch.setattr(windows_work, "utc_now", lambda: later)
    run("aggregate", "--timeframes=1d")
    dropped = run("clean", "--timeframes=1d")
    assert dropped.out == "dropped 2026-03-02\ndropped 1, kept 0\n"
    assert run("export").out == ""


def test_forget_deletes_the_samples_of_one_receiver(run: Run, file: str) -> None:
    run("import", file)
    assert run("forget", "a") == Done(0, "deleted 3\n", "")
    assert run("forget", "a") == Done(0, "deleted 0\n", "")
    assert len(run("export").out.splitlines()) == 8


# -------------------------------------------------------------------------------------- tokens


def test_a_token_is_all_that_stands_on_standard_output(run: Run) -> None:
    done = run("token", "create", "phone")
    assert done.status == 0
    assert re.fullmatch(r"dt_[A-Za-z0-9_-]{43}\n", done.out)
    assert "nobody can show it again" in done.err
    again = run("token", "create", "phone")
    assert (again.status, again.out) == (1, "")
    assert again.err.startswith("devtelemetry: there is a token phone already")


def test_tokens_are_listed_with_scope_and_state(run: Run) -> None:
    assert "There is no token; " in run("token", "list").err
    token = run("token", "create", "wall", "--scope=read").out.strip()
    run("token", "create", "phone")
    assert run("token", "revoke", "phone").out == "revoked phone\n"
    listed = run("token", "list").out
    phone, wall = (line.split() for line in listed.splitlines()[2:])
    assert (phone[0], phone[1], phone[3]) == ("phone", "ingest", "revoked")
    assert (wall[0], wall[1], wall[3]) == ("wall", "read", "valid")
    assert token not in listed


def test_a_token_that_is_not_there_cannot_be_revoked(run: Run) -> None:
    done = run("token", "revoke", "phone")
    assert done.status == 1
    assert done.err.startswith("devtelemetry: there is no token phone; ")


def test_a_scope_that_is_not_known_is_a_usage_error(run: Run) -> None:
    done = run("token", "create", "phone", "--scope=write")
    assert done.status == 2
    assert done.err == "devtelemetry: --scope: 'write' is not known; allowed: ingest or read\n"


# ----------------------------------------------------------------------- the program as a whole


def test_settings_prints_the_page_of_settings(plain_run: Run) -> None:
    assert plain_run("settings") == Done(0, settings_table(), "")


def test_version_is_that_of_the_package(plain_run: Run) -> None:
    assert plain_run("--version") == Done(0, f"devtelemetry {__version__}\n", "")


@pytest.mark.parametrize(
    "name", ["serve", "import", "export", "aggregate", "report", "clean", "forget"]
)
def test_every_command_explains_itself_and_takes_the_common_settings(
    plain_run: Run, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    done = plain_run(name, "--help")
    assert done.status == 0
    for option in ("--database", "--data-dir", "--config"):
        assert option in done.out


def test_options_say_of_a_setting_what_config_says(plain_run: Run) -> None:
    for name in Settings.model_fields:
        parameter = option_of(name)
        (option,) = parameter.annotation.__metadata__
        assert description(name).replace("`", "") in option.help
        assert default_text(name).replace("`", "") in option.help
        assert option.default.startswith(option_name(name))


def test_serve_takes_every_setting() -> None:
    assert set(inspect.signature(serve).parameters) == set(Settings.model_fields)


def test_the_processes_of_a_server_share_their_metrics_where_metrics_looks() -> None:
    with shared_metrics(2):
        assert Path(os.environ[metrics.SHARED_DIRECTORY]).is_dir()
    with shared_metrics(1):
        assert metrics.SHARED_DIRECTORY not in os.environ


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("report", "--data-dir"), 2),
        (("nonsense",), 2),
        (("import",), 2),
        (("report", "--by=weather"), 2),
        (("aggregate", "--membership=most"), 2),
        (("report", "--database=mysql://host/name"), 2),
        (("report", "--config=/nowhere.toml"), 1),
        (("report", "--database=postgresql://nobody@127.0.0.1:1/nothing"), 1),
    ],
)
def test_usage_is_2_and_failure_is_1(
    plain_run: Run, arguments: tuple[str, ...], status: int
) -> None:
    done = plain_run(*arguments)
    assert (done.status, done.out) == (status, "")
    assert done.err
    assert "Traceback" not in done.err


def test_a_database_that_cannot_be_reached_is_one_line(plain_run: Run) -> None:
    done = plain_run("report", "--database=postgresql://nobody@127.0.0.1:1/nothing")
    assert done.err.startswith("devtelemetry: the database cannot be reached: ")
    assert done.err.count("\n") == 1


def test_a_bad_setting_of_the_environment_is_no_usage_error(
    plain_run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEVTELEMETRY_RETENTION", "soon")
    done = plain_run("report")
    assert done.status == 1
    assert done.err.startswith("devtelemetry: DEVTELEMETRY_RETENTION: 'soon' is no duration; ")


def test_a_fault_in_the_program_is_one_line_too(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError("a\nfault")

    monkeypatch.setattr(report_work, "as_tables", broken)
    done = run("report")
    assert done.status == 1
    assert done.err.startswith("devtelemetry: a fault in the program: RuntimeError: a fault; ")
    assert done.err.count("\n") == 1


def test_without_the_server_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['typer'] = None; sys.argv = ['devtelemetry', 'report']; "
        "from devtelemetry.__main__ import main; sys.exit(main())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "devtelemetry: the server is not installed (no module typer): "
        "run pip install 'devtelemetry[server]'\n"
    )


def test_help_loads_no_server() -> None:
    code = (
        "import sys\n"
        "from devtelemetry.cli.program import run\n"
        "for words in ([], ['serve'], ['import'], ['publish'], ['simulate'], ['token', 'list'],\n"
        "              ['report'], ['report', 'missing', '--channel=x']):\n"
        "    sys.argv = ['devtelemetry', *words, '--help']\n"
        "    assert run() == 0\n"
        "print(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    heavy = {"asyncpg", "fastapi", "grpc", "alembic", "sqlalchemy", "uvicorn", "prometheus_client"}
    assert "devtelemetry.cli.commands.report" in loaded
    assert heavy & loaded == set()


def test_logs_go_to_stderr_and_as_json_where_asked(tmp_path: Path) -> None:
    at = f"--data-dir={tmp_path / 'data'}"
    done = program("report", at, "--log-level=info", "--log-format=json")
    assert done.returncode == 0
    assert "There are no samples yet." in done.stdout
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert records
    assert all({"event", "level", "timestamp"} <= record.keys() for record in records)
    assert program("report", at).stderr == ""
