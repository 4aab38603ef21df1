"""Worlds against a real server, through real client libraries in real processes."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trustme

from devtelemetry.aggregate.compute import compute_one
from devtelemetry.aggregate.rules import AggregateRules
from devtelemetry.figures.document import iso
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.model import HOUR_MS, MINUTE_MS, LossClass, from_unix_ms, parse_timeframe
from devtelemetry.runtime.clock import now_ms, utc_now
from devtelemetry.simulator.compare import compare
from devtelemetry.simulator.history import REPORT_MS, history_lines
from devtelemetry.simulator.loss import LOSS_MODELS
from devtelemetry.simulator.node import Account, Target
from devtelemetry.simulator.reports import report
from devtelemetry.simulator.run import NODES_A_PROCESS, _share_out, run_world
from devtelemetry.simulator.spec import Action, Spec, World
from devtelemetry.simulator.truth import truth_document
from devtelemetry.simulator.world import make_world
from devtelemetry.store.database import Database
from devtelemetry.transfer.importing import import_samples
from oracle.model import OracleChannel, OracleWindow
from support.program import Run, in_process, run
from support.server import ServerProcess
from support.simulated import measured

pytestmark = pytest.mark.slow

HOUR = parse_timeframe("1h")
STAGES = (*LossClass, "recovered", "by_live", "by_history", "by_resend")


def counts(of: OracleChannel | OracleWindow) -> dict[str, int]:
    return {"messages": of.messages, "receivers": of.receivers, **of.counts._asdict()}


@pytest.fixture(scope="module")
def server(
    tmp_path_factory: pytest.TempPathFactory, shared_database_url: str
) -> Iterator[ServerProcess]:
    data_dir = tmp_path_factory.mktemp("simulator") / "data"
    with ServerProcess(data_dir, f"--database={shared_database_url}") as running:
        yield running


def past_hour(**fields: Any) -> Spec:
    """Twenty nodes in the latest hour for which all of the world is in the past."""
    start_ms = (now_ms() - 17 * MINUTE_MS) // HOUR_MS * HOUR_MS - HOUR_MS
    spec = Spec(
        seed=1,
        start_ms=start_ms,
        end_ms=start_ms + HOUR_MS,
        nodes=20,
        channels=4,
        loss=LOSS_MODELS["mixed"](0.1),
        restarts=0.1,
        crashes=2,
        duplicates=0.1,
    )
    return replace(spec, **fields)


def simulated(world: World, server: ServerProcess) -> list[Account]:
    return run_world(world, Target(server.grpc), is_live=False)


def figures(world: World, server: ServerProcess) -> dict[str, Any]:
    """The measured window, as the server computes it after the run."""
    start = iso(from_unix_ms(world.spec.start_ms))
    options = (server.where, "--timeframe=1h")
    in_process("aggregate", *options, f"--window-start={start}")
    return in_process("report", *options, "--json").document


def assert_equal(world: World, document: dict[str, Any], truth: OracleWindow) -> None:
    """Compares every count of every channel of the world."""
    start = iso(from_unix_ms(world.spec.start_ms))
    (window,) = [window for window in document["windows"] if window["start"] == start]
    measured = {channel["channel_id"]: channel for channel in window["channels"]}
    ids = {channel.channel_id for channel in world.channels}
    assert truth.expected > 1_000
    assert measured.keys() & ids == truth.channels.keys()
    for channel_id, channel in truth.channels.items():
        for name, count in counts(channel).items():
            assert measured[channel_id][name] == count, (channel_id, name)


def test_what_a_server_measures_is_what_the_nodes_were_told(server: ServerProcess) -> None:
    """The world has losses at every stage, members that come back, restarts, killed nodes, second
    copies and wrong clocks."""
    world = make_world(past_hour())
    actions = {operation.action for operation in world.operations}
    assert {Action.CRASH, Action.JOIN, Action.LEAVE, Action.WRITE} <= actions
    accounts = simulated(world, server)

    assert [account.node for account in accounts] == [node.number for node in world.nodes]
    assert not any(account.left or account.dropped for account in accounts)
    of_server = figures(world, server)
    expected = measured(world)
    assert_equal(world, of_server, expected)
    assert all(counts(expected)[name] for name in STAGES)
    whole, *channels = compare(truth_document(world, HOUR), of_server)
    assert whole.difference == pytest.approx(0, abs=0.01)
    assert len(channels) == len(world.channels)
    assert whole.true.counts.missing > 100, "there is something to be measured"


def test_reports_that_are_lost_on_devices_are_the_ones_that_the_world_says(
    server: ServerProcess,
) -> None:
    """Real outboxes overflow and real files are deleted, and no other report is lost."""
    world = make_world(past_hour(cut_off=0.6, wiped=0.4, crashes=0, restarts=0.0))
    ends = {operation.action for operation in world.operations}
    assert {Action.MEND, Action.WIPE} <= ends
    accounts = simulated(world, server)

    dropped = {account.node: account.dropped for account in accounts if account.dropped}
    assert dropped
    assert dropped == report(world).overflowed
    truth = measured(world, says_what_it_lost=True)
    assert truth.unknown > 0
    assert_equal(world, figures(world, server), truth)


async def test_a_history_that_is_imported_has_the_figures_of_its_reports(
    database: Database,
) -> None:
    world = make_world(past_hour(cut_off=0.3))
    spec = world.spec
    until_ms = spec.end_ms + 5 * MINUTE_MS
    lines = list(history_lines(world, until_ms))
    imported = await import_samples(
        database,
        lines,
        AgeLimits(),
        SettleRule(),
        now_ms=now_ms,
        on_rejected=lambda _, why: pytest.fail(why),
        on_note=pytest.fail,
    )
    samples = [line for line in lines if b'"messageId"' in line]
    assert imported.imported + imported.duplicates == len(samples)
    assert len(samples) < len(lines), "some say when they joined"
    window = await compute_one(
        database,
        AggregateRules(timeframes=(HOUR,)),
        HOUR,
        from_unix_ms(spec.start_ms),
        now=utc_now,
    )
    truth = measured(world, recorded_ms=lambda at_ms: at_ms + REPORT_MS, until_ms=until_ms)
    assert truth.expected > 1_000
    assert truth.unknown > 0
    for name, count in counts(truth).items():
        assert getattr(window.counts, name) == count, name


# ---------------------------------------------------------------------------- the command line


def simulate(server: str, *options: str) -> subprocess.CompletedProcess[str]:
    return run("simulate", f"--target={server}", "--nodes=6", "--channels=2", *options, check=False)


def test_the_command_writes_the_truth_and_says_what_there_is_to_compare(
    server: ServerProcess, tmp_path: Path
) -> None:
    path = tmp_path / "truth.json"
    options = ("--loss-model=everyone", "--loss=0.2", f"--truth={path}")
    done = simulate(server.grpc, *options, f"--compare=http://{server.http}")
    assert done.returncode == 0, done.stderr
    truth = json.loads(path.read_text())
    (window,) = truth["windows"]
    (summary, *_) = done.stdout.splitlines()
    assert f"{window['delivered']:,} of {window['expected']:,} pairs delivered" in summary
    assert f"--window-start {window['start']}" in done.stderr, "it is not computed yet"

    compute_it = ("--timeframe=1h", f"--window-start={window['start']}")
    in_process("aggregate", server.where, *compute_it)
    of_server = in_process("report", server.where, "--json").document
    assert compare(truth, of_server)[0].difference == pytest.approx(0, abs=0.05)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--loss-model=bad",), "allowed: independent, bursts"),
        (("--hours=0.5",), "not a whole number of 1h windows"),
        (("--hours=0",), "not a whole number of 1h windows"),
        (("--timeframe=1x",), "is not a timeframe"),
        (("--target=nowhere",), "allowed: HOST:PORT"),
        (("--loss=1.5",), "allowed: 0 to 1"),
        (("--report-loss=-1",), "--report-loss: -1 is out of range"),
    ],
)
def test_a_wrong_option_is_told_and_what_is_allowed(
    options: tuple[str, ...], told: str, plain_run: Run
) -> None:
    done = plain_run("simulate", "--target=127.0.0.1:1", *options)
    assert done.status == 2
    (line,) = done.err.strip().splitlines()
    assert told in line


def test_a_server_that_cannot_be_reached_is_told_at_once() -> None:
    done = simulate("127.0.0.1:1")
    assert done.returncode == 1
    (line,) = done.stderr.strip().splitlines()
    assert "127.0.0.1:1 cannot be reached: Connection refused" in line


def test_a_server_may_ask_for_tls_and_a_token_and_its_refusal_is_told(
    tmp_path: Path, database_url: str
) -> None:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key, ca = (tmp_path / name for name in ("cert.pem", "key.pem", "ca.pem"))
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(certificate))
    authority.cert_pem.write_to_path(str(ca))
    where, tls = f"--database={database_url}", (f"--tls-cert={certificate}", f"--tls-key={key}")
    with ServerProcess(tmp_path / "data", where, "--require-tokens", *tls) as server:
        target = f"localhost:{server.grpc.rpartition(':')[2]}"
        token = in_process("token", "create", "nodes", server.where).out.strip()
        refused = simulate(target, f"--tls-ca={ca}", "--token=dt_wrong")
        assert refused.returncode == 1
        (line,) = refused.stderr.strip().splitlines()
        assert "could not be sent: token_refused" in line
        done = simulate(target, f"--tls-ca={ca}", f"--token={token}")
        assert done.returncode == 0, done.stderr


def test_who_is_killed_has_a_process_of_its_own_and_no_process_too_many_files() -> None:
    world = make_world(past_hour(nodes=200, crashes=3))
    shares = list(_share_out(world))
    crashing = {o.node for o in world.operations if o.action is Action.CRASH}
    assert [node.number for nodes, _ in shares[-3:] for node in nodes] == sorted(crashing)
    assert max(len(nodes) for nodes, _ in shares) <= NODES_A_PROCESS
    told = sorted(
        (operation for _, operations in shares for operation in operations),
        key=lambda operation: (operation.at_ms, operation.node),
    )
    assert told == sorted(world.operations, key=lambda o: (o.at_ms, o.node)), "nothing is left out"
    for nodes, operations in shares:
        assert {o.node for o in operations} == {node.number for node in nodes}
