"""A real Matrix server on loopback: a Synapse process, from its own virtual environment."""

import base64
import json
import os
import secrets
import subprocess
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from support.ci import missing_part
from support.ports import free_port

NAME, PASSWORD = "matrix.example", "secret"
SECONDS = 60.0
_PYTHON = Path(__file__).parents[2] / ".venv-synapse" / "bin" / "python"
_LIMITS = (
    "rc_message",
    "rc_registration",
    "rc_joins.local",
    "rc_joins.remote",
    "rc_joins_per_room",
    "rc_login.address",
    "rc_login.account",
)


class Synapse:
    """A server; `restart` keeps address, accounts, rooms and their events."""

    def __init__(self, directory: Path) -> None:
        if not _PYTHON.exists():
            missing_part(f"no Synapse in {_PYTHON.parents[1]}: sh scripts/install-synapse")
        self._directory = directory
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        seed = base64.b64encode(secrets.token_bytes(32)).decode().rstrip("=")
        (directory / "signing.key").write_text(f"ed25519 a_test {seed}\n")
        # JSON is YAML.
        (directory / "homeserver.yaml").write_text(json.dumps(self._configuration()))
        self._start()

    def _configuration(self) -> dict[str, Any]:
        configuration: dict[str, Any] = {
            "server_name": NAME,
            "pid_file": str(self._directory / "synapse.pid"),
            "listeners": [
                {
                    "port": self.port,
                    "type": "http",
                    "tls": False,
                    "bind_addresses": ["127.0.0.1"],
                    "resources": [{"names": ["client"]}],
                }
            ],
            "database": {
                "name": "sqlite3",
                "args": {"database": str(self._directory / "synapse.db")},
            },
            "media_store_path": str(self._directory / "media"),
            "signing_key_path": str(self._directory / "signing.key"),
            "report_stats": False,
            "macaroon_secret_key": "secret",
            "enable_registration": True,
            "enable_registration_without_verification": True,
            "trusted_key_servers": [],
            "bcrypt_rounds": 4,
        }
        for limit in _LIMITS:
            place = configuration
            for part in limit.split("."):
                place = place.setdefault(part, {})
            place.update(per_second=1000, burst_count=1000)
        return configuration

    def _start(self) -> None:
        log = self._directory / "synapse.log"
        with log.open("ab") as written:
            self._process = subprocess.Popen(
                [
                    _PYTHON,
                    "-m",
                    "synapse.app.homeserver",
                    f"--config-path={self._directory / 'homeserver.yaml'}",
                ],
                cwd=self._directory,
                stdout=written,
                stderr=written,
                env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
            )
        deadline = time.monotonic() + SECONDS
        while not self._answers():
            is_over = self._process.poll() is not None or time.monotonic() > deadline
            assert not is_over, f"no Synapse\n{log.read_text()[-3000:]}"
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            self.ask("GET", "versions")
        except OSError:
            return False
        return True

    def ask(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        """The answer of the client API to a request."""
        request = urllib.request.Request(
            f"{self.url}/_matrix/client/{path}",
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {token}"} if token else {},
        )
        with urllib.request.urlopen(request, timeout=SECONDS) as answer:
            return json.loads(answer.read())

    def register(self, user: str) -> dict[str, str]:
        """Registers an account; returns user_id, device_id, access_token."""
        body = {"username": user, "password": PASSWORD, "auth": {"type": "m.login.dummy"}}
        answer: dict[str, str] = self.ask("POST", "v3/register", body)
        return answer

    def login(self, user: str) -> dict[str, str]:
        """Logs a further device in; returns the same."""
        body = {
            "type": "m.login.password",
            "identifier": {"type": "m.id.user", "user": user},
            "password": PASSWORD,
        }
        answer: dict[str, str] = self.ask("POST", "v3/login", body)
        return answer

    def create_room(self, token: str, *, is_encrypted: bool) -> str:
        encryption = {
            "type": "m.room.encryption",
            "content": {"algorithm": "m.megolm.v1.aes-sha2"},
        }
        body = {"preset": "public_chat", "initial_state": [encryption] * is_encrypted}
        room_id: str = self.ask("POST", "v3/createRoom", body, token)["room_id"]
        return room_id

    def archive(self, room_id: str, token: str) -> list[dict[str, Any]]:
        """All events of a room."""
        path = f"v3/rooms/{room_id}/messages?dir=b&limit=1000"
        events: list[dict[str, Any]] = self.ask("GET", path, token=token)["chunk"]
        return events

    def restart(self) -> None:
        self.stop()
        self._start()

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(SECONDS)

    def __enter__(self) -> "Synapse":
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
