"""The command line as a user sees it: output, exit status, and one line for each error."""

import io
import json
import os
import pty
import re
import signal
import subprocess
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from devtelemetry.model import (
    HOUR_MS,
)
from devtelemetry.report import report
from devtelemetry.runtime.clock import utc_now
from devtelemetry.store.clock import AgreedClock
from support.program import Done, Run, command
from support.program import run as run_process
from support.server import postmaster_pid, wait_until_gone

START = 1_772_445_600_000  # 2026-03-02T10:00Z
START_ISO = "2026-03-02T10:00:00Z"


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
    """A file: four receivers of two messages, one lacks a message; all report after the window."""
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
    assert first.startswith("line 2: not JSON: ")
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
    done = run_process("import", "-", f"--database={database_url}", text=json.dumps(sample()))
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
    except OSError:  # EIO, because the other end is closed
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
    # Its standard input stays open, and it must not wait for that to end.
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
    # Twice, because an hour may have ended before the first.
    again = [run("aggregate", "--timeframes=1h").out for _ in range(2)]
    assert "computed 0: no window is due\n" in again
    assert not {*windows} & {*"".join(again).splitlines()}


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
    assert done.err.startswith("devtelemetry: --timeframe, --window-start: only one is given")


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


def test_a_channel_or_a_group_that_nobody_knows_is_said(run: Run, file: str) -> None:
    run("import", file)
    aggregate(run, "1h", START_ISO)
    for form in ((), ("--json",)):
        done = run("report", "--channel=nosuch", *form, check=False)
        assert done.status == 1
        assert done.err.startswith("devtelemetry: there is no channel 'nosuch'; allowed: ")
    nobody = ("--by=platform", "--versus=nokia")
    done = run("report", *nobody, "--json", check=False)
    said = "there is no platform 'nokia' in these windows"
    assert (done.status, done.out, done.err.strip()) == (1, "", f"devtelemetry: {said}")
    assert "There is no platform 'nokia' here" in run("report", *nobody).out
    known = ("--by=platform", "--versus=", "--json")  # those that reported no platform
    assert run("report", *known).document["windows"][0]["groups"]
    # Without a window, an unknown group is not an error.
    assert run("report", "--timeframe=1w", *nobody, "--json").document["windows"] == []


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("--timeframe=1x",), "--timeframe: '1x' is not a timeframe; allowed: "),
        (("--from=soon",), "--from: 'soon' is not a time; allowed: ISO 8601, as in "),
        (("--from=2026-03-03", "--to=2026-03-02"), "--from: 2026-03-03 is not before "),
    ],
)
def test_a_bad_question_is_a_usage_error(run: Run, arguments: tuple[str, ...], line: str) -> None:
    done = run("report", *arguments)
    assert (done.status, done.out) == (2, "")
    assert done.err.startswith(f"devtelemetry: {line}")
    assert done.err.count("\n") == 1


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
    # Well after the import, so that no window waits for further samples.
    later = utc_now() + timedelta(hours=1)
    monkeypatch.setattr(AgreedClock, "now", lambda _: later)
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
    assert "it cannot be shown again" in done.err
    again = run("token", "create", "phone")
    assert (again.status, again.out) == (1, "")
    assert again.err.startswith("devtelemetry: a token phone exists already")


def test_tokens_are_listed_with_scope_and_state(run: Run) -> None:
    assert "There are no tokens; " in run("token", "list").err
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
