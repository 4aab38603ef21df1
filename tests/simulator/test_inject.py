"""Audits of a real server: the injected truth is measured, and a difference is reported."""

import json
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from devtelemetry.figures.audits import Audit, parse_audit
from devtelemetry.figures.document import iso
from devtelemetry.model import parse_timeframe, window_at
from devtelemetry.runtime.clock import utc_now
from devtelemetry.simulator.audit import Spec, installation_ids, make_plan, plan_timing
from devtelemetry.simulator.fetch import fetch_report
from devtelemetry.simulator.inject import Pusher, to_request
from devtelemetry.simulator.node import Target
from devtelemetry.v1 import telemetry_pb2
from support.program import Run, command, in_process, run
from support.server import ServerProcess, exported_samples

pytestmark = pytest.mark.slow

MINUTE = parse_timeframe("1m")


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, shared_database_url: str
) -> Iterator[ServerProcess]:
    """A server that computes minutes as soon as they end, and again for two and a half minutes."""
    options = (
        f"--database={shared_database_url}",
        "--timeframes=1m",
        "--job-interval=1s",
        "--allowed-lateness=1m=0s",
        "--settle-time=150s",
        "--recompute-interval=0s",
    )
    with ServerProcess(tmp_path_factory.mktemp("audit") / "data", *options) as running:
        # A receiver that is not of the audits, and reported before them.
        push(
            running,
            telemetry_pb2.PushRequest(
                samples=[
                    telemetry_pb2.Sample(
                        message_id="m",
                        channel_id="c",
                        sent_at=1000 * int((utc_now() - timedelta(minutes=6)).timestamp()),
                    )
                ],
                reporter=telemetry_pb2.Reporter(receiver_public_key="a", installation_id="i"),
            ),
        )
        yield running


def push(server: ServerProcess, *requests: telemetry_pb2.PushRequest) -> None:
    with closing(Pusher(Target(server.grpc))) as pusher:
        for request in requests:
            pusher.push(request, 30.0)


def audit_command(server: ServerProcess, *options: str) -> list[str]:
    url = f"http://{server.http}"
    return command("simulate", "--audit", f"--target={server.grpc}", f"--compare={url}", *options)


def injected(text: str) -> Audit:
    match = re.search(r"^injected (\S+)$", text, re.MULTILINE)
    assert match is not None, text
    audit = parse_audit(match[1])
    assert audit is not None
    return audit


def scraped(server: ServerProcess) -> dict[str, float]:
    """The metrics of audits of the timeframe 1m."""
    with urlopen(f"http://{server.http}/metrics") as answer:
        text = answer.read().decode()
    found = re.findall(r'^devtelemetry_audit_(\w+)\{timeframe="1m"\} (\S+)$', text, re.MULTILINE)
    return {name: float(value) for name, value in found}


def totals(server: ServerProcess, audit: Audit) -> list[dict[str, Any]]:
    window = audit.window
    report = fetch_report(f"http://{server.http}", "1m", iso(window.start), iso(window.end))
    return list(report["windows"])


@pytest.mark.parametrize("options", [(), ("--live", "--nodes=7", "--loss=0.4", "--quorum=2")])
def test_a_server_recovers_what_was_injected_and_a_scrape_says_so(
    server: ServerProcess, options: tuple[str, ...]
) -> None:
    done = subprocess.run(
        audit_command(server, *options), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == "", "cron has nothing to send"
    audit = injected(done.stdout)
    assert audit.counts.missing > 20
    (*_, line) = done.stdout.strip().splitlines()
    assert line.startswith("recovered: ")
    for name in ("expected", "missing", "unknown"):
        number = f"{getattr(audit.counts, name):,}"
        assert re.search(rf"^{name} +{number} +{number} *$", done.stdout, re.MULTILINE)

    assert scraped(server) == {
        "recovered": 1,
        "error_pairs": 0,
        "window_end_timestamp_seconds": audit.window.end.timestamp(),
    }
    (window,) = totals(server, audit)
    assert audit.channel_id in [channel["channel_id"] for channel in window["channels"]]
    assert window["expected"] == 0, "it is no part of the totals"


def test_a_pipeline_that_loses_something_is_told_with_status_1(server: ServerProcess) -> None:
    """A receiver is deleted before the window is computed, so the figures differ from the truth."""
    process = subprocess.Popen(
        audit_command(server), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    audit = injected(process.stdout.readline())
    victim = installation_ids(audit.nonce, audit.counts.receivers)[5]
    with closing(Pusher(Target(server.grpc))) as pusher:
        pusher.forget(victim)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 1
    (line,) = err.strip().splitlines()
    assert "not recovered under present: " in line
    assert f"receivers {audit.counts.receivers - 1} instead of {audit.counts.receivers}" in line
    figures = scraped(server)
    assert figures["recovered"] == 0
    assert figures["error_pairs"] > 10


def test_figures_that_do_not_come_in_time_are_told(server: ServerProcess) -> None:
    done = subprocess.run(
        audit_command(server, "--timeframe=2h", "--wait=0.02"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "not recovered: the 2h window of" in line
    assert "is 2h one of the server's timeframes" in line


def test_what_is_settled_is_forgotten_by_the_next_audit_and_its_figures_stay(
    server: ServerProcess, tmp_path: Path
) -> None:
    url, state = f"http://{server.http}", tmp_path / "audits.json"
    timing = plan_timing(MINUTE, utc_now() - timedelta(minutes=3), is_live=False)
    plan = make_plan(Spec(1, 5, 0.1, 1, "00112233445566aa"), MINUTE, timing)
    push(server, *(to_request(p, plan.audit.channel_id) for p in (*plan.before, *plan.after)))
    other = {"target": "127.0.0.1:1", "channel": plan.audit.channel_id}
    mine = {"target": server.grpc, "channel": plan.audit.channel_id}
    state.write_text(json.dumps([other, mine]), encoding="utf-8")
    deadline = time.monotonic() + 30
    while not any(window["state"] == "settled" for window in totals(server, plan.audit)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    before = totals(server, plan.audit)

    done = run(
        "simulate",
        "--audit",
        f"--target={server.grpc}",
        f"--compare={url}",
        f"--state={state}",
        "--nodes=5",
        "--wait=0.01",
        check=False,
    )
    audit = injected(done.stdout)
    assert json.loads(state.read_text()) == [
        other,
        {"target": server.grpc, "channel": audit.channel_id},
    ]
    kept = {sample["channelId"] for sample in exported_samples(server)}
    assert plan.audit.channel_id not in kept
    assert audit.channel_id in kept, "it is not settled yet"
    assert totals(server, plan.audit) == before


def test_without_a_server_to_look_at_it_says_what_was_injected(server: ServerProcess) -> None:
    done = run("simulate", "--audit", f"--target={server.grpc}", "--nodes=5")
    audit = injected(done.stdout)
    assert audit.timeframe == "1h"
    assert audit.window == window_at(parse_timeframe("1h"), utc_now() - timedelta(hours=1))
    assert "devtelemetry_audit_recovered" in done.stdout


@pytest.mark.parametrize(
    ("options", "status", "told"),
    [
        (("--audit", "--channels=3"), 2, "--channels: not possible with --audit"),
        (("--audit", "--truth=FILE"), 2, "--truth: not possible with --audit"),
        (("--quorum=2",), 2, "--quorum: it is only for audits"),
        (("--state=FILE",), 2, "--state: it is only for audits"),
        (("--audit", "--nodes=4"), 2, "--nodes: 4 is out of range; allowed: 5 to 100"),
        (("--audit", "--loss=0.6"), 2, "--loss: 0.6 is out of range"),
        (("--audit", "--nodes=5", "--quorum=4"), 2, "--quorum: 4 is out of range"),
        (("--audit", "--timeframe=1x"), 2, "is not a timeframe"),
        (("--audit",), 1, "127.0.0.1:1 cannot be reached"),
        (("--audit", "--compare=http://127.0.0.1:1"), 1, "127.0.0.1:1 gives no figures"),
    ],
)
def test_what_is_wrong_is_told_in_a_line(
    options: tuple[str, ...], status: int, told: str, plain_run: Run
) -> None:
    done = plain_run("simulate", "--target=127.0.0.1:1", *options)
    assert done.status == status
    (line,) = done.err.strip().splitlines()
    assert told in line


def test_a_file_of_something_else_is_left_as_it_is(
    server: ServerProcess, tmp_path: Path, plain_run: Run
) -> None:
    state = tmp_path / "settings.toml"
    state.write_text("port = 1\n", encoding="utf-8")
    done = plain_run("simulate", "--audit", f"--target={server.grpc}", f"--state={state}")
    assert done.status == 1
    assert "was not written by this command" in done.err
    assert state.read_text() == "port = 1\n"


def test_all_that_audits_left_goes_with_one_key(server: ServerProcess) -> None:
    run("simulate", "--audit", f"--target={server.grpc}", "--nodes=5")
    in_process("forget", "devtelemetry-audit", server.where)
    assert [sample["channelId"] for sample in exported_samples(server)] == ["c"]
