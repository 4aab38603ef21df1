"""Which doors of HTTP are open, by the settings, as a real server has it."""

from pathlib import Path

import httpx
import pytest

from devtelemetry.v1 import PUSH
from support.server import ServerProcess

pytestmark = pytest.mark.slow

STATUS_GO = ("/record-metrics", "/update-envelope", "/protocol-stats", "/waku-metrics")


@pytest.mark.parametrize(
    ("options", "offered"),
    [
        ([], True),
        (["--require-tokens"], False),
        (["--require-tokens", "--legacy-http"], True),
    ],
)
def test_an_interface_without_tokens_is_off_where_they_are_required(
    options: list[str], offered: bool, tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}", *options) as server:
        for path in STATUS_GO:
            answer = httpx.post(f"http://{server.http}{path}", content=b"[]")
            assert (answer.status_code == 201) == offered, path


def test_no_post_is_taken_by_a_name_that_is_not_known_or_from_a_page_elsewhere(
    tmp_path: Path, database_url: str
) -> None:
    options = (f"--database={database_url}", "--require-tokens", "--legacy-http")
    with ServerProcess(tmp_path / "data", *options) as server:
        for path in (*STATUS_GO, PUSH, "/sign-in", "/sign-out", "/_nicegui_ws/socket.io/"):
            for headers, status in (
                ({"host": "evil.example"}, 421),
                ({"host": "evil.example", "origin": "http://evil.example"}, 421),
                ({"origin": "https://evil.example"}, 403),
                ({"origin": "null"}, 403),
            ):
                answer = httpx.post(f"http://{server.http}{path}", content=b"[]", headers=headers)
                assert answer.status_code == status, (path, headers)
