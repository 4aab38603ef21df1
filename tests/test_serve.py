"""The server as a process: killed, stopped, started twice, run by several workers."""

import contextlib
import gzip
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme

from devtelemetry.model import HOUR_MS
from devtelemetry.runtime.clock import now_ms
from devtelemetry.v1 import PUSH, telemetry_pb2
from oracle.model import OracleSample, compute
from support.ports import free_port
from support.program import in_process, run
from support.server import ServerProcess, postmaster_pid, wait_until_gone

pytestmark = pytest.mark.slow

RECEIVERS = 4
SAMPLES_PER_PUSH = 20


class Pusher(threading.Thread):
    """A messenger that reports until the test stops it, and sends again what failed."""

    def __init__(self, address: str, receiver: int, started_at: int) -> None:
        super().__init__(daemon=True)
        self._channel = grpc.insecure_channel(address)
        self._push: Any = self._channel.unary_unary(
            PUSH,
            request_serializer=telemetry_pb2.PushRequest.SerializeToString,
            response_deserializer=telemetry_pb2.PushResponse.FromString,
        )
        self._receiver = receiver
        self._started_at = started_at
        self._stop_requested = threading.Event()
        self.acknowledged = 0  # messages 0 … acknowledged - 1, except those that it lost
        self.failures = 0

    def holds(self, message: int) -> bool:
        return (message * 7 + self._receiver) % 10 != 0

    def run(self) -> None:
        while not self._stop_requested.is_set():
            numbers = range(self.acknowledged, self.acknowledged + SAMPLES_PER_PUSH)
            request = telemetry_pb2.PushRequest(
                reporter=telemetry_pb2.Reporter(receiver_public_key=f"0x04{self._receiver}"),
                samples=[
                    telemetry_pb2.Sample(
                        message_id=f"m{number}",
                        channel_id="c1",
                        sent_at=self._started_at + number,
                    )
                    for number in numbers
                    if self.holds(number)
                ],
            )
            try:
                response = self._push(request, timeout=10)
            except grpc.RpcError:
                self.failures += 1
                time.sleep(0.05)
            else:
                assert response.accepted == len(request.samples)
                self.acknowledged += SAMPLES_PER_PUSH

    def stop(self) -> None:
        self._stop_requested.set()
        self.join(timeout=30)
        self._channel.close()


@pytest.mark.parametrize("with_database", [False, True], ids=["server", "server-and-database"])
def test_what_was_acknowledged_survives_sigkill_and_is_there_once(
    tmp_path: Path, with_database: bool
) -> None:
    data_dir = tmp_path / "data"
    # The messages are in one hour that has ended, so that its window can be computed.
    started_at = now_ms() // HOUR_MS * HOUR_MS - 2 * HOUR_MS
    address = f"127.0.0.1:{free_port()}"
    server = ServerProcess(data_dir, grpc_listen=address)
    pushers = [Pusher(address, receiver, started_at) for receiver in range(RECEIVERS)]
    for pusher in pushers:
        pusher.start()
    for _ in range(3):
        reached = [pusher.acknowledged for pusher in pushers]
        _wait_for_progress(pushers, reached, 200)
        server.kill(with_database=with_database)
        server = ServerProcess(data_dir, grpc_listen=address)
    reached = [pusher.acknowledged for pusher in pushers]
    _wait_for_progress(pushers, reached, 1)
    for pusher in pushers:
        pusher.stop()
    assert sum(pusher.failures for pusher in pushers) > 0, "the kills hit nobody"

    with server:
        exported = [
            json.loads(line) for line in in_process("export", server.where).out.splitlines()
        ]
        start = from_ms(started_at)
        in_process("aggregate", server.where, "--timeframe=1h", f"--window-start={start}")
        report = json.loads(in_process("report", server.where, "--json", "--timeframe=1h").out)

    stored = [(line["messageId"], line["receiverPublicKey"]) for line in exported]
    assert len(set(stored)) == len(stored), "a sample is there twice"
    held: dict[str, set[str]] = {}
    for message, receiver in stored:
        held.setdefault(receiver, set()).add(message)
    for pusher in pushers:
        acknowledged = {f"m{n}" for n in range(pusher.acknowledged) if pusher.holds(n)}
        assert any(acknowledged <= messages for messages in held.values()), "a sample is missing"

    truth = compute(
        [
            OracleSample(
                line["messageId"],
                line["channelId"],
                line["receiverPublicKey"],
                line["sentAt"],
                line["createdAt"],
            )
            for line in exported
        ],
        started_at,
        started_at + HOUR_MS,
        "present",
    )
    (window,) = [w for w in report["windows"] if w["start"] == start]
    for name in ("messages", "receivers", "expected", "missing", "corroborated"):
        assert window[name] == getattr(truth, name), name
    assert truth.missing > 0


def test_a_stopped_server_has_committed_what_it_took_and_leaves_nothing_running(
    tmp_path: Path,
) -> None:
    data_dir = tmp_path / "data"
    server = ServerProcess(data_dir)
    postmaster = postmaster_pid(data_dir)
    pusher = Pusher(server.grpc, 1, now_ms() - HOUR_MS)
    pusher.start()
    _wait(lambda: pusher.acknowledged >= 200)
    assert server.terminate() == 0
    pusher.stop()
    wait_until_gone([postmaster])

    exported = in_process("export", server.where).out.splitlines()
    acknowledged = {f"m{n}" for n in range(pusher.acknowledged) if pusher.holds(n)}
    assert acknowledged <= {json.loads(line)["messageId"] for line in exported}
    assert "Traceback" not in server.log_path.read_text()


def test_what_is_not_done_when_a_server_stops_is_told_to_come_again(
    tmp_path: Path, database_url: str
) -> None:
    begun = (
        "POST {} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000\r\n\r\n["
    )
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        host, port = server.http.split(":")
        with contextlib.ExitStack() as stack:
            open_requests = [
                stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
                for _ in range(2)
            ]
            for one, path in zip(open_requests, (PUSH, "/record-metrics"), strict=True):
                one.sendall(begun.format(path, server.http).encode())
            assert get(server, "/healthz")[0] == 200  # by now the open requests have arrived
            assert server.terminate() == 0
            for one in open_requests:
                assert one.recv(4096).startswith(b"HTTP/1.1 503 ")
        assert "Traceback" not in server.log_path.read_text()


def test_a_second_server_on_one_directory_is_refused_in_one_line(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        second = run(
            "serve",
            f"--data-dir={server.data_dir}",
            "--grpc-listen=127.0.0.1:0",
            "--http-listen=127.0.0.1:0",
            check=False,
        )
        assert second.returncode == 1
        assert str(server.data_dir) in error_line(second.stderr)
        assert str(server.pid) in error_line(second.stderr)
        # The first server still works.
        assert get(server, "/readyz")[0] == 200


def test_other_commands_work_beside_a_running_server(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        at = now_ms() // HOUR_MS * HOUR_MS - 3 * HOUR_MS
        lines = [
            {
                "messageId": f"m{m}",
                "channelId": "c1",
                "receiverPublicKey": f"r{r}",
                "sentAt": at + m * 1000,
                "createdAt": at + m * 1000 + HOUR_MS * (m == 9),
            }
            for m in range(10)
            for r in range(3)
            if (m, r) != (4, 1)
        ]
        path = tmp_path / "samples.ndjson.gz"
        path.write_bytes(gzip.compress("\n".join(map(json.dumps, lines)).encode()))
        done = run("import", f"--data-dir={server.data_dir}", str(path))
        assert done.stdout.splitlines()[-1] == "imported 29, duplicates 0, rejected 0"
        run("aggregate", f"--data-dir={server.data_dir}")
        for command_line in (("report",), ("clean",), ("token", "list"), ("export",)):
            run(*command_line, f"--data-dir={server.data_dir}")
        status, body = get(server, "/api/v1/reliability?timeframe=1h")
        windows = json.loads(body)["windows"]
        assert status == 200
        assert [w["missing"] for w in windows if w["start"] == from_ms(at)] == [1]


def test_the_database_alone_may_die_and_comes_back(tmp_path: Path) -> None:
    with ServerProcess(tmp_path / "data") as server:
        pusher = Pusher(server.grpc, 1, now_ms() - HOUR_MS)
        pusher.start()
        _wait(lambda: pusher.acknowledged >= 100)
        os.kill(postmaster_pid(server.data_dir), signal.SIGKILL)
        reached = pusher.acknowledged
        _wait(lambda: pusher.acknowledged >= reached + 400)
        pusher.stop()
        exported = in_process("export", server.where).out.splitlines()
    acknowledged = {f"m{n}" for n in range(pusher.acknowledged) if pusher.holds(n)}
    assert acknowledged <= {json.loads(line)["messageId"] for line in exported}


def test_several_workers_share_one_port_and_die_with_their_server(
    tmp_path: Path, database_url: str
) -> None:
    options = (f"--database={database_url}", "--workers=3")
    with ServerProcess(tmp_path / "data", *options) as server:
        started_at = now_ms() - HOUR_MS
        pushers = [Pusher(server.grpc, receiver, started_at) for receiver in range(12)]
        for pusher in pushers:
            pusher.start()
        _wait(lambda: all(pusher.acknowledged >= 100 for pusher in pushers))
        for pusher in pushers:
            pusher.stop()
        expected = sum(
            sum(pusher.holds(n) for n in range(pusher.acknowledged)) for pusher in pushers
        )
        _, body = get(server, "/metrics")
        accepted = [
            float(line.split()[-1])
            for line in body.splitlines()
            if line.startswith('devtelemetry_samples_accepted_total{interface="grpc"}')
        ]
        assert accepted == [expected], "the metrics of all workers are shown together"
        workers = children_of(server.pid)
        assert len([pid for pid in workers if "spawn_main" in command_line_of(pid)]) == 2
        server.kill(with_database=False)
        wait_until_gone([pid for pid in workers if "spawn_main" in command_line_of(pid)])


def test_a_server_with_other_rules_takes_pushes_and_computes_nothing(
    tmp_path: Path, database_url: str
) -> None:
    options = (f"--database={database_url}", "--job-interval=1s")
    with (
        ServerProcess(tmp_path / "one", *options) as one,
        ServerProcess(tmp_path / "other", *options, "--quorum=2") as other,
    ):
        _wait(lambda: "quorum is 1 there and 2 here" in other.log_path.read_text())
        pusher = Pusher(other.grpc, 1, now_ms() - HOUR_MS)
        pusher.start()
        _wait(lambda: pusher.acknowledged >= 100)
        pusher.stop()
        refused = run("clean", one.where, "--quorum=3", check=False)
        assert refused.returncode == 1
        assert "quorum is 1 there and 3 here" in error_line(refused.stderr)
        run("clean", one.where)
        assert one.terminate() == 0
        _wait(lambda: "quorum is 2 there and 1 here" in _clean_by_default(other))
        assert "Traceback" not in other.log_path.read_text()


def _clean_by_default(server: ServerProcess) -> str:
    return run("clean", server.where, check=False).stderr


def test_beyond_loopback_nothing_starts_without_tokens_and_tls(
    tmp_path: Path, database_url: str
) -> None:
    where = f"--database={database_url}"
    open_to_all = ("--grpc-listen=0.0.0.0:0", "--http-listen=127.0.0.1:0")
    for options, told in (
        (open_to_all, "--tls-cert"),
        (("--grpc-listen=127.0.0.1:0", "--http-listen=0.0.0.0:0"), "--tls-cert"),
    ):
        refused = run("serve", where, *options, check=False)
        assert refused.returncode == 1
        assert told in error_line(refused.stderr)

    certificate, key = make_certificate(tmp_path)
    tls = (f"--tls-cert={certificate}", f"--tls-key={key}")
    refused = run("serve", where, *open_to_all, *tls, check=False)
    assert refused.returncode == 1
    assert "token create" in error_line(refused.stderr)

    for wrong in (f"--tls-key={certificate}", "--tls-key=/nowhere"):
        refused = run("serve", where, *open_to_all, *tls, wrong, check=False)
        assert refused.returncode == 1
        assert "tls_cert, tls_key: " in error_line(refused.stderr)
    # Some editors save files with a byte order mark.
    for file in (certificate, key):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())

    token = in_process("token", "create", "app", where).out.split()[-1]
    with ServerProcess(tmp_path / "data", where, *tls, grpc_listen="0.0.0.0:0") as server:
        credentials = grpc.ssl_channel_credentials(certificate.read_bytes()[3:])
        port = server.grpc.rpartition(":")[2]
        with grpc.secure_channel(f"localhost:{port}", credentials) as channel:
            push: Any = channel.unary_unary(PUSH)
            heartbeat = telemetry_pb2.PushRequest(
                reporter=telemetry_pb2.Reporter(receiver_public_key="0x04")
            ).SerializeToString()
            push(heartbeat, metadata=[("authorization", f"Bearer {token}")], timeout=10)
            with pytest.raises(grpc.RpcError, match="no valid token"):
                push(heartbeat, timeout=10)


def test_insecure_means_what_it_says(tmp_path: Path, database_url: str) -> None:
    options = (f"--database={database_url}", "--insecure")
    with (
        ServerProcess(tmp_path / "data", *options, grpc_listen="0.0.0.0:0") as server,
        grpc.insecure_channel(f"127.0.0.1:{server.grpc.rpartition(':')[2]}") as channel,
    ):
        push: Any = channel.unary_unary(PUSH)
        request = telemetry_pb2.PushRequest(
            reporter=telemetry_pb2.Reporter(receiver_public_key="0x04")
        )
        push(request.SerializeToString(), timeout=10)


def test_a_port_in_use_is_named(tmp_path: Path, database_url: str) -> None:
    where = f"--database={database_url}"
    with ServerProcess(tmp_path / "one", where) as server:
        for option in (f"--grpc-listen={server.grpc}", f"--http-listen={server.http}"):
            other = {"grpc": "--http-listen=127.0.0.1:0", "http": "--grpc-listen=127.0.0.1:0"}
            refused = run(
                "serve",
                where,
                option,
                other[option[2:6]],
                check=False,
            )
            assert refused.returncode == 1
            line = error_line(refused.stderr)
            assert option[2:6] + "_listen: cannot listen on" in line
            assert option.partition("=")[0] in line


def test_ports_are_looked_at_before_a_database_is_made(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        place = f"127.0.0.1:{taken.getsockname()[1]}"
        for option in ("--grpc-listen", "--http-listen"):
            refused = run(
                "serve", f"--data-dir={tmp_path / 'data'}", f"{option}={place}", check=False
            )
            assert refused.returncode == 1
            assert option in error_line(refused.stderr)
    assert not (tmp_path / "data").exists()


def ran(script: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )


def test_no_log_line_shows_what_a_variable_held() -> None:
    done = ran(
        "import structlog\n"
        "from devtelemetry.runtime.logs import configure_logging\n"
        "configure_logging('info', 'console')\n"
        "def fail(public_key):\n"
        "    raise ValueError('it broke')\n"
        "try:\n"
        "    fail(bytes.fromhex('736563726574').decode())\n"
        "except ValueError:\n"
        "    structlog.get_logger('x').exception('failed')\n"
    )
    assert "it broke" in done.stderr
    assert "secret" not in done.stderr


def test_no_log_line_shows_where_points_go() -> None:
    done = ran(
        "from devtelemetry.runtime.logs import configure_logging\n"
        "from devtelemetry.publish.remote_write import RemoteWrite\n"
        "import httpx\n"
        "configure_logging('debug', 'console')\n"
        "store = RemoteWrite('http://127.0.0.1:9/api?token=secret')\n"
        "answer = httpx.MockTransport(lambda _: httpx.Response(204))\n"
        "client = httpx.Client(transport=answer)\n"
        "client.get('http://127.0.0.1:9/api?token=secret')\n"
        "print(store.place)\n"
    )
    assert done.stdout == "http://127.0.0.1:9\n"
    assert "secret" not in done.stderr


def get(server: ServerProcess, path: str) -> tuple[int, str]:
    with urllib.request.urlopen(f"http://{server.http}{path}", timeout=30) as response:
        return response.status, response.read().decode()


def error_line(stderr: str) -> str:
    """The only line that is not a log line."""
    (line,) = [line for line in stderr.strip().splitlines() if "[info" not in line]
    return line


def from_ms(unix_ms: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(unix_ms / 1000))


def children_of(pid: int) -> list[int]:
    task = Path(f"/proc/{pid}/task")
    return [
        int(child)
        for thread in task.iterdir()
        for child in (thread / "children").read_text().split()
    ]


def command_line_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def make_certificate(directory: Path) -> tuple[Path, Path]:
    authority = trustme.CA()
    issued = authority.issue_cert("localhost")
    certificate, key = directory / "cert.pem", directory / "key.pem"
    issued.private_key_pem.write_to_path(str(key))
    # The chain includes its own authority, so the client can trust this file.
    for blob in (*issued.cert_chain_pems, authority.cert_pem):
        blob.write_to_path(str(certificate), append=True)
    return certificate, key


def _wait_for_progress(pushers: list[Pusher], reached: list[int], more: int) -> None:
    _wait(lambda: all(p.acknowledged >= r + more for p, r in zip(pushers, reached, strict=True)))


def _wait(condition: Any, seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)
