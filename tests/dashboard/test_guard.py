"""Who may come in: hosts, origins, sign-in; what goes out: headers."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.types import Message

from devtelemetry.dashboard.guard import Guard, SignIn, session_cookie
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, TokenBook, create_token, revoke_token

LOOPBACK = KnownHosts(frozenset(), loopback=True)
OPEN = KnownHosts(frozenset(), loopback=False)
PAGE = "<html><script>1</script><script type='module' src='/x'></script></html>"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def site(hosts: KnownHosts, sign_in: SignIn | None = None, has_room: bool = True) -> Guard:
    async def page(_: Any) -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def export(_: Any) -> PlainTextResponse:
        return PlainTextResponse("figures")

    inner = Starlette(
        routes=[Route("/", page), Route("/channel", page), Route("/export/overview.csv", export)]
    )
    return Guard(inner, hosts=hosts, sign_in=sign_in, make_room=lambda _: has_room)


def browser(guard: Guard, base: str = "http://127.0.0.1:8080") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=base)


async def connect(guard: Guard, headers: Mapping[str, str]) -> str:
    """What becomes of a WebSocket: the type of the first answer, or `passed`."""
    answers: list[Message] = []
    reached = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    guard._app = inner
    scope = {
        "type": "websocket",
        "path": "/_nicegui_ws/socket.io/",
        "query_string": b"",
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }

    async def receive() -> Message:
        return {"type": "websocket.connect"}

    async def send(message: Message) -> None:
        answers.append(message)

    await guard(scope, receive, send)
    return "passed" if reached else answers[0]["type"]


# ------------------------------------------------------------------------------ hosts and origins


@pytest.mark.parametrize(
    "host", ["127.0.0.1:8080", "localhost", "LOCALHOST:1", "[::1]:8080", "127.3.2.1", "a.localhost"]
)
async def test_loopback_is_opened_by_names_of_loopback(host: str) -> None:
    async with browser(site(LOOPBACK)) as client:
        assert (await client.get("/", headers={"host": host})).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "localhost@evil.example", "a b",
     "localhost.evil.example:8080", "evil.example#localhost", "[::2]", "localhost:x"],
)  # fmt: skip
async def test_a_name_that_is_pointed_at_loopback_opens_nothing(host: str) -> None:
    async with browser(site(LOOPBACK)) as client:
        answer = await client.get("/", headers={"host": host})
    assert answer.status_code == 421
    assert "<script" not in answer.text


async def test_a_configured_name_opens_it_and_no_other() -> None:
    async with browser(
        site(KnownHosts(frozenset({"telemetry.example"}), loopback=False))
    ) as client:
        for host, status in (("telemetry.example", 200), ("other.example", 421)):
            assert (await client.get("/", headers={"host": host})).status_code == status


def test_names_of_hosts_are_names_alone_in_lower_case() -> None:
    assert Settings(http_hosts="Telemetry.Example, ::1").http_hosts == ("telemetry.example", "::1")
    for wrong in ("https://t.example", "t.example:8080", "a b", "*"):
        with pytest.raises(ConfigurationError, match=r"http.hosts"):
            Settings(http_hosts=wrong)


@pytest.mark.parametrize(
    ("headers", "becomes"),
    [
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:8080"}, "passed"),
        ({"host": "t.example", "origin": "https://t.example"}, "passed"),
        ({"host": "127.0.0.1:8080", "origin": "http://127.0.0.1:9090"}, "websocket.close"),
        ({"host": "127.0.0.1:8080", "origin": "https://evil.example"}, "websocket.close"),
        ({"host": "127.0.0.1:8080", "origin": "null"}, "websocket.close"),
        ({"host": "127.0.0.1:8080"}, "websocket.close"),
    ],
)
async def test_a_websocket_opens_for_a_page_of_this_host_alone(
    headers: dict[str, str], becomes: str
) -> None:
    assert await connect(site(OPEN), headers) == becomes


async def test_a_name_that_is_pointed_at_loopback_opens_no_websocket() -> None:
    rebound = {"host": "evil.example", "origin": "http://evil.example"}
    assert await connect(site(LOOPBACK), rebound) == "websocket.close"


async def test_the_socket_s_polling_is_refused_from_elsewhere_too() -> None:
    async with browser(site(LOOPBACK)) as client:
        for method in ("GET", "POST"):
            answer = await client.request(
                method, "/_nicegui_ws/socket.io/", headers={"origin": "http://evil.example"}
            )
            assert answer.status_code == 403


async def test_paths_that_are_not_ours_are_not_found_as_before() -> None:
    async with browser(site(LOOPBACK)) as client:
        for path in ("/nothing", "/channel/", "/wp-login.php", "/sign-in"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_more_viewers_than_there_is_memory_for_are_told_to_wait() -> None:
    async with browser(site(LOOPBACK, has_room=False)) as client:
        answer = await client.get("/")
    assert answer.status_code == 503
    assert answer.headers["retry-after"]


# ------------------------------------------------------------------------------------ what goes out


async def test_each_page_has_strict_headers_and_its_own_nonce_on_every_script() -> None:
    async with browser(site(LOOPBACK)) as client:
        pages = [await client.get("/") for _ in range(2)]
    nonces = []
    for page in pages:
        policy = page.headers["content-security-policy"]
        found = re.search(r"script-src 'self' 'nonce-([\w-]{20,})' 'unsafe-eval';", policy)
        assert found is not None, policy
        nonces.append(found[1])
        assert re.findall(r"<script[^>]*>", page.text) == [
            f'<script nonce="{found[1]}">',
            f"<script nonce=\"{found[1]}\" type='module' src='/x'>",
        ]
        assert "'unsafe-inline'" not in re.findall(r"script-src[^;]*", policy)[0]
        for part in ("default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'"):
            assert part in policy
        assert page.headers["x-content-type-options"] == "nosniff"
        assert page.headers["referrer-policy"] == "same-origin"
        assert page.headers["cache-control"] == "no-store"
    assert nonces[0] != nonces[1]


async def test_answers_to_what_is_refused_have_the_headers_too() -> None:
    async with browser(site(LOOPBACK)) as client:
        for path, headers in (("/nothing", {}), ("/", {"host": "evil.example"})):
            answer = await client.get(path, headers=headers)
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]


# ---------------------------------------------------------------------------------------- sign-in


class Clock:
    now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest_asyncio.fixture
async def token(database: Database) -> AsyncIterator[str]:
    yield await create_token(database, "viewer", Scope.READ, now=NOW)


def signed(database: Database, clock: Clock) -> Guard:
    sign_in = SignIn(
        TokenBook(database, Scope.READ, monotonic=clock), b"k" * 32, clock=clock, monotonic=clock
    )
    return site(OPEN, sign_in)


async def test_a_viewer_signs_in_once_sees_the_page_and_signs_out(
    database: Database, token: str
) -> None:
    async with browser(signed(database, Clock()), "https://t.example") as client:
        asked = await client.get("/channel?id=a%26b")
        assert asked.status_code == 303
        assert asked.headers["location"] == "/sign-in?next=%2Fchannel%3Fid%3Da%2526b"
        form = await client.get(asked.headers["location"])
        assert 'value="/channel?id=a%26b"' in form.text
        done = await client.post(
            "/sign-in",
            data={"token": f" {token} ", "next": "/channel?id=a%26b"},
            headers={"origin": "https://t.example"},
        )
        assert (done.status_code, done.headers["location"]) == (303, "/channel?id=a%26b")
        cookie = done.headers["set-cookie"]
        assert cookie.startswith("__Host-devtelemetry_session=")
        for part in ("HttpOnly", "SameSite=strict", "Secure", "Path=/"):
            assert part in cookie
        assert token not in cookie
        assert (await client.get("/")).text.count("<script") == 2
        assert (await client.get("/export/overview.csv")).text == "figures"
        out = await client.post("/sign-out", headers={"origin": "https://t.example"})
        assert out.headers["location"] == "/sign-in"
        assert (await client.get("/")).status_code == 303


async def test_a_revoked_token_ends_its_sessions_in_a_second(
    database: Database, token: str
) -> None:
    clock = Clock()
    async with browser(signed(database, clock), "https://t.example") as client:
        await client.post("/sign-in", data={"token": token})
        assert (await client.get("/")).status_code == 200
        await revoke_token(database, "viewer", now=NOW)
        clock.now += 1.0
        assert (await client.get("/")).status_code == 303


async def test_without_signing_in_nothing_is_shown(database: Database) -> None:
    guard = signed(database, Clock())
    async with browser(guard, "https://t.example") as client:
        for path in ("/", "/channel?id=x", "/window"):
            assert (await client.get(path)).status_code == 303
        for path in ("/export/overview.csv", "/_nicegui/3/static/x.js", "/_nicegui_ws/socket.io/"):
            assert (await client.get(path)).status_code == 401
    refused = {
        "host": "t.example",
        "origin": "https://t.example",
        "cookie": "devtelemetry_session=x",
    }
    assert await connect(guard, refused) == "websocket.close"


@pytest.mark.parametrize("scope", [Scope.INGEST, None])
async def test_a_token_of_another_scope_or_none_signs_nobody_in(
    database: Database, scope: Scope | None
) -> None:
    shown = "dt_" + "x" * 43
    if scope is not None:
        shown = await create_token(database, "client", scope, now=NOW)
    async with browser(signed(database, Clock()), "https://t.example") as client:
        answer = await client.post("/sign-in", data={"token": shown})
        assert answer.status_code == 401
        assert "set-cookie" not in answer.headers
        assert shown not in answer.text


async def test_attempts_are_limited_and_the_limit_passes(database: Database, token: str) -> None:
    clock = Clock()
    async with browser(signed(database, clock), "https://t.example") as client:
        tries = [await client.post("/sign-in", data={"token": "dt_no"}) for _ in range(6)]
        assert [one.status_code for one in tries] == [401] * 5 + [429]
        assert (await client.post("/sign-in", data={"token": token})).status_code == 429
        clock.now += 2.0
        assert (await client.post("/sign-in", data={"token": token})).status_code == 303


async def test_a_form_from_elsewhere_signs_nobody_in_or_out(database: Database, token: str) -> None:
    async with browser(signed(database, Clock()), "https://t.example") as client:
        for path in ("/sign-in", "/sign-out"):
            for origin in ("https://evil.example", "null", "https://t.example:444"):
                answer = await client.post(path, data={"token": token}, headers={"origin": origin})
                assert answer.status_code == 403


@pytest.mark.parametrize(
    "after",
    ["//evil.example", "https://evil.example", "/\\evil.example", "/api/v1/reliability",
     "/?\r\nSet-Cookie: a=b", "javascript:alert(1)"],
)  # fmt: skip
async def test_signing_in_leads_to_a_page_of_this_server_alone(
    database: Database, token: str, after: str
) -> None:
    async with browser(signed(database, Clock()), "https://t.example") as client:
        form = await client.get("/sign-in", params={"next": after})
        assert '<input type="hidden" name="next" value="/">' in form.text
        done = await client.post("/sign-in", data={"token": token, "next": after})
        assert done.headers["location"] == "/"


async def test_who_follows_a_link_from_elsewhere_gets_to_send_the_cookie(
    database: Database,
) -> None:
    async with browser(signed(database, Clock()), "https://t.example") as client:
        answer = await client.get("/", headers={"sec-fetch-site": "cross-site"})
    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text


@pytest.mark.parametrize(
    "header",
    [
        "devtelemetry_session=abc",
        'prefs={"a":1}; devtelemetry_session=abc',
        "a b=1; devtelemetry_session=abc; c",
        "devtelemetry_session=old;__Host-devtelemetry_session=abc",
    ],
)
def test_cookies_of_other_programs_hide_no_session(header: str) -> None:
    assert session_cookie(header) == "abc"


def test_without_a_cookie_there_is_no_session() -> None:
    assert session_cookie(None) is None
    assert session_cookie("xdevtelemetry_session=abc") is None


async def test_a_large_form_is_refused(database: Database) -> None:
    async with browser(signed(database, Clock()), "https://t.example") as client:
        answer = await client.post("/sign-in", data={"token": "x" * 5000})
    assert answer.status_code == 400
