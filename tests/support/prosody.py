"""A real XMPP server on loopback: a prosody process, with rooms and their archives."""

import shutil
import socket
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from support.ci import missing_part
from support.ports import free_port

HOST, ROOMS, PASSWORD = "xmpp.example", "rooms.xmpp.example", "secret"
SECONDS = 30.0

_CONFIGURATION = """
run_as_root = true
data_path = "{data}"
pidfile = "{data}/prosody.pid"
log = {{ info = "*console" }}
c2s_ports = {{ {port} }}
c2s_interfaces = {{ "127.0.0.1" }}
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
authentication = "internal_plain"
storage = "internal"
modules_enabled = {{ "carbons", "disco", "mam", "ping", "roster", "saslauth" }}
modules_disabled = {{ "s2s", "posix", "tls" }}
default_archive_policy = true
VirtualHost "{host}"
Component "{rooms}" "muc"
    modules_enabled = {{ "muc_mam" }}
    muc_room_locking = false
    muc_room_default_persistent = true
    muc_log_by_default = true
"""


class Prosody:
    """A server with the accounts `users`; `restart` keeps address, rooms and archives."""

    def __init__(self, directory: Path, users: Iterable[str]) -> None:
        program = shutil.which("prosody")
        if program is None:
            missing_part("no XMPP server (Debian: apt-get install prosody)")
        self._program = program
        self._directory = directory
        self.port = free_port()
        accounts = directory / "data" / HOST.replace(".", "%2e") / "accounts"
        accounts.mkdir(parents=True)
        for user in users:
            (accounts / f"{user}.dat").write_text(f'return {{ ["password"] = "{PASSWORD}" }};\n')
        (directory / "prosody.cfg.lua").write_text(
            _CONFIGURATION.format(data=directory / "data", port=self.port, host=HOST, rooms=ROOMS)
        )
        self._start()

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)

    def _start(self) -> None:
        log = self._directory / "prosody.log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [self._program, "-F", "--config", self._directory / "prosody.cfg.lua"],
                stdout=written,
                stderr=written,
            )
        deadline = time.monotonic() + SECONDS
        while not _answers(self.port):
            is_over = self._process.poll() is not None or time.monotonic() > deadline
            assert not is_over, f"no prosody\n{log.read_text()}"
            time.sleep(0.05)

    def __enter__(self) -> "Prosody":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
