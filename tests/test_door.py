"""Push by HTTP as people use it: the commands of the pages, on a real server."""

import json
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from devtelemetry.v1 import PUSH
from support.ci import missing_part
from support.program import in_process
from support.server import ServerProcess, exported_samples
from test_serve import make_certificate

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]
HEARTBEAT = {"reporter": {"receiver_public_key": "0x04aa"}}
_BLOCK = re.compile(r"(?:^    .*\n)+", re.MULTILINE)


def commands(page: str) -> list[str]:
    """The blocks of a page that push with curl, unchanged."""
    blocks = _BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))
    texts = ["\n".join(line[4:] for line in block.splitlines()) for block in blocks]
    return [text for text in texts if re.search(r"^ *curl ", text, re.MULTILINE)]


@pytest.fixture
def server(tmp_path: Path, database_url: str) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as started:
        yield started


def pasted(server: ServerProcess, command: str) -> list[dict[str, Any]]:
    """What curl prints when a shell runs the command, one response a line."""
    if shutil.which("curl") is None:
        missing_part("no curl (Debian: apt-get install curl)")
    here = command.replace("127.0.0.1:8080", server.http)
    assert here != command
    done = subprocess.run(["bash", "-c", here], capture_output=True, text=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_the_readmes_first_sample_is_taken(server: ServerProcess) -> None:
    (command,) = commands("README.md")
    assert pasted(server, command) == [{"accepted": 1, "rejections": []}]
    (stored,) = exported_samples(server)
    assert (stored["messageId"], stored["channelId"]) == ("m1", "general")


def in_short(answer: dict[str, Any]) -> tuple[int, list[str]]:
    return answer["accepted"], [rejection["reason"] for rejection in answer["rejections"]]


def test_each_push_of_the_first_steps_is_answered_as_the_page_says(server: ServerProcess) -> None:
    text = (ROOT / "docs" / "first-steps.md").read_text(encoding="utf-8")
    told = [
        json.loads(line) for line in re.findall(r'^    (\{"accepted": .*)$', text, re.MULTILINE)
    ]
    answers = [
        one for command in commands("docs/first-steps.md") for one in pasted(server, command)
    ]
    assert [in_short(one) for one in answers] == [in_short(one) for one in told]
    assert len(told) > 4


def first_line(server: ServerProcess, token: str) -> str:
    """The first line of the response to headers only; the client waits before it sends a body."""
    host, _, port = server.http.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=30) as connection:
        connection.sendall(
            f"POST {PUSH} HTTP/1.1\r\nHost: {server.http}\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: 4000000\r\n"
            "Expect: 100-continue\r\n\r\n".encode()
        )
        return connection.makefile("rb").readline().decode().strip()


def test_who_has_no_token_is_told_so_before_it_sends_its_body(
    tmp_path: Path, database_url: str
) -> None:
    where = f"--database={database_url}"
    token = in_process("token", "create", "web", where).out.split()[-1]
    with ServerProcess(tmp_path / "data", where, "--require-tokens") as server:
        assert first_line(server, "dt_wrong") == "HTTP/1.1 401 Unauthorized"
        assert first_line(server, token).startswith("HTTP/1.1 100")


def test_beyond_loopback_http_asks_for_a_token_whatever_grpc_does(
    tmp_path: Path, database_url: str
) -> None:
    certificate, key = make_certificate(tmp_path)
    where = f"--database={database_url}"
    options = (where, f"--tls-cert={certificate}", f"--tls-key={key}")
    token = in_process("token", "create", "web", where).out.split()[-1]
    with ServerProcess(tmp_path / "data", *options, http_listen="0.0.0.0:0") as server:
        url = f"https://localhost:{server.http.rpartition(':')[2]}{PUSH}"
        with httpx.Client(verify=ssl.create_default_context(cafile=certificate)) as client:
            assert client.post(url, json=HEARTBEAT).status_code == 401
            headers = {"authorization": f"Bearer {token}"}
            assert client.post(url, json=HEARTBEAT, headers=headers).status_code == 200
