"""Who may read pages: hosts, origins, sign-in. And the headers of responses."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route

from devtelemetry.dashboard import assets
from devtelemetry.dashboard.guard import Guard, SignIn, session_cookie
from devtelemetry.model.errors import ConfigurationError
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.settings.settings import Settings
from devtelemetry.store.database import Database
from devtelemetry.store.tokens import Scope, TokenBook, create_token, revoke_token

LOOPBACK = KnownHosts(frozenset(), loopback=True)
OPEN = KnownHosts(frozenset(), loopback=False)
PAGE = "<html>the page</html>"
NOW = datetime(2026, 3, 2, tzinfo=UTC)


def site(hosts: KnownHosts, sign_in: SignIn | None = None) -> Guard:
    async def page(_: Any) -> HTMLResponse:
        return HTMLResponse(PAGE)

    async def export(_: Any) -> PlainTextResponse:
        return PlainTextResponse("figures")

    inner = Starlette(
        routes=[
            Route("/", page),
            Route("/channel", page),
            Route("/export/overview.csv", export),
            Route("/fresh", export),
        ]
    )
    return Guard(inner, hosts=hosts, sign_in=sign_in)


def browser(guard: Guard, base: str = "http://127.0.0.1:8080") -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=httpx.ASGITransport(guard), base_url=base)


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
    assert "the page" not in answer.text


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


async def test_paths_that_are_not_ours_are_not_found_as_before() -> None:
    async with browser(site(LOOPBACK)) as client:
        for path in ("/nothing", "/channel/", "/wp-login.php", "/sign-in"):
            answer = await client.get(path)
            assert (answer.status_code, answer.json()) == (404, {"detail": "Not Found"})


async def test_a_browser_is_told_on_a_page_that_there_is_none() -> None:
    async with browser(site(LOOPBACK)) as client:
        answer = await client.get("/nothing", headers={"accept": "text/html,*/*;q=0.8"})
    assert answer.status_code == 404
    assert '<h1 id="problem-title">There is no such page</h1>' in answer.text
    assert 'href="/"' in answer.text


async def test_pages_are_asked_for_so_often_and_looks_are_counted_apart() -> None:
    class Clock:
        now = 0.0

        def __call__(self) -> float:
            return self.now

    clock = Clock()
    guard = Guard(site(LOOPBACK)._app, hosts=LOOPBACK, sign_in=None, monotonic=clock)
    async with browser(guard) as client:
        answers = [await client.get("/") for _ in range(61)]
        assert [one.status_code for one in answers] == [200] * 60 + [429]
        assert answers[-1].headers["retry-after"] == "1"
        assert (await client.get("/fresh")).status_code == 200
        clock.now += 1.0
        assert (await client.get("/")).status_code == 200


# ------------------------------------------------------------------------------------ what goes out


async def test_each_page_has_strict_headers_and_no_script_of_its_own() -> None:
    async with browser(site(LOOPBACK)) as client:
        page = await client.get("/")
        framed = await client.get("/nothing", headers={"accept": "text/html"})
    for answer in (page, framed):
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        for part in (
            "default-src 'none'", "script-src 'self';", "frame-ancestors 'none'", "base-uri 'none'",
        ):  # fmt: skip
            assert part in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
    (style,) = re.findall(r"<style>(.*?)</style>", framed.text, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"style-src 'sha256-{digest}'" in policy
    assert re.findall(r"<script[^>]*>", framed.text) == [f'<script src="{assets.SCRIPT_AT}" defer>']
    assert not re.search(r"<[^>]+\s(?:style|on\w+)=", framed.text)


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
        assert (await client.get("/")).text == PAGE
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
        for path in ("/export/overview.csv", "/fresh"):
            assert (await client.get(path)).status_code == 401


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
