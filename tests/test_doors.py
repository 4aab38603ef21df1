"""Which doors of HTTP a real server opens by its settings, and what load they bear."""

import asyncio
import itertools
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

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
        for path in (*STATUS_GO, PUSH, "/sign-in", "/sign-out"):
            for headers, status in (
                ({"host": "evil.example"}, 421),
                ({"host": "evil.example", "origin": "http://evil.example"}, 421),
                ({"origin": "https://evil.example"}, 403),
                ({"origin": "null"}, 403),
            ):
                answer = httpx.post(f"http://{server.http}{path}", content=b"[]", headers=headers)
                assert answer.status_code == status, (path, headers)


PAGES = 200  # requested at once, by a client that is not a browser


async def test_who_asks_for_many_pages_at_once_takes_them_from_nobody_else(
    tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        url = f"http://{server.http}/"
        many = httpx.Limits(max_connections=PAGES)
        async with httpx.AsyncClient(timeout=120, limits=many) as client:
            answers = await asyncio.gather(*(client.get(url) for _ in range(PAGES)))
            assert {answer.status_code for answer in answers} == {200, 429}
            refused = [answer for answer in answers if answer.status_code == 429]
            assert all(int(answer.headers["retry-after"]) <= 2 for answer in refused)
        with other_address(1) as other:
            assert other.get(url).status_code == 200


def other_address(number: int) -> httpx.Client:
    """A client from another loopback address; all of 127.0.0.0/8 is loopback."""
    address = f"127.1.{number // 250}.{1 + number % 250}"
    return httpx.Client(transport=httpx.HTTPTransport(local_address=address), timeout=120)


TIMES = (
    "9999-12-31",
    "9999-12-31T23:59:59.999999Z",
    "9999-12-31T23:00:00-12:00",
    "0001-01-01T00:00:00+14:00",
    "0001-01-01",
    "1969-12-31T23:00:00Z",
    "-1",
    "1e308",
    "NaN",
    "2026-13-45",
)
TEXTS = ("", "-1", "9" * 30, "NaN", "a\0b", "x" * 20_000, "\ud800", "9999w")
ASKED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "/": {"timeframe": TEXTS, "span": TEXTS, "by": TEXTS, "membership": TEXTS, "other": TEXTS},
    "/channel": {"id": TEXTS, "timeframe": TEXTS},
    "/window": {"start": TIMES, "timeframe": TEXTS, "channel": TEXTS, "versions": TEXTS},
    "/export/window.csv": {"start": TIMES},
    "/export/overview.csv": {"from": TIMES, "to": TIMES, "timeframe": TEXTS},
    "/api/v1/reliability": {
        "from": TIMES,
        "to": TIMES,
        "timeframe": TEXTS,
        "channel": TEXTS,
        "membership": TEXTS,
        "by": TEXTS,
        "versus": TEXTS,
        "channels": TEXTS,
        "limit": TEXTS,
    },
    "/api/v1/missing": {
        "start": TIMES,
        "channel": TEXTS,
        "timeframe": TEXTS,
        "receiver": TEXTS,
        "burst": TEXTS,
        "limit": TEXTS,
        "offset": TEXTS,
    },
    "/api/v1/releases/compare": {
        "baseline": TEXTS,
        "candidate": TEXTS,
        "platform": TEXTS,
        "margin": TEXTS,
        "membership": TEXTS,
        "from": TIMES,
        "to": TIMES,
    },
    "/api/v1/notes": {"from": TIMES, "to": TIMES, "limit": TEXTS},
    "/sign-in": {"next": TEXTS},
}
OTHERS: Mapping[str, Mapping[str, str]] = {
    "/export/overview.csv": {"from": "2026-03-02", "to": "2026-03-03"},
    "/channel": {"id": "general"},
    "/window": {"start": "2026-03-02", "timeframe": "1d", "channel": "general"},
    "/export/window.csv": {"start": "2026-03-02", "timeframe": "1d"},
    "/api/v1/missing": {"channel": "general", "timeframe": "9999w"},
    "/api/v1/reliability": {"by": "platform"},
    "/api/v1/releases/compare": {"baseline": "1", "candidate": "2"},
}


def extremes() -> Iterator[str]:
    for path, parameters in ASKED.items():
        for name, values in parameters.items():
            for value in values:
                query = {**OTHERS.get(path, {}), name: value}
                yield f"{path}?{urlencode(query, errors='surrogatepass')}"


def test_nothing_in_an_address_is_a_fault_of_the_server(tmp_path: Path, database_url: str) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        sample = {"message_id": "m", "channel_id": "general", "sent_at": int(time.time() * 1000)}
        body = {"reporter": {"receiver_public_key": "0x04aa"}, "samples": [sample]}
        assert httpx.post(f"http://{server.http}{PUSH}", json=body).status_code == 200
        left = list(extremes())
        for number in itertools.count():
            some, left = left[:20], left[20:]
            if not some:
                break
            with other_address(number) as client:
                for address in some:
                    answer = client.get(f"http://{server.http}{address}")
                    assert answer.status_code < 500, (address[:200], answer.text)
        assert "Traceback" not in server.log_path.read_text()


def test_a_channel_that_nobody_knows_is_not_found_on_any_page(
    tmp_path: Path, database_url: str
) -> None:
    with ServerProcess(tmp_path / "data", f"--database={database_url}") as server:
        for address in (
            "/channel?id=nosuch",
            "/window?start=2026-03-02&timeframe=1d&channel=nosuch",
            "/export/channel.csv?id=nosuch",
            "/api/v1/reliability?channel=nosuch",
            "/api/v1/missing?channel=nosuch",
        ):
            answer = httpx.get(f"http://{server.http}{address}")
            assert answer.status_code == 404, address
            assert "there is no channel" in answer.text, address
