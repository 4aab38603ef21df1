"""Push by HTTP: each protocol and encoding stores and answers the same as gRPC, with a real group
commit and a real PostgreSQL."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import pytest_asyncio
from fastapi import FastAPI

from devtelemetry.ingest import bodies
from devtelemetry.ingest.check import MAX_REQUEST_BYTES
from devtelemetry.ingest.push_http import PushApp
from devtelemetry.model.errors import DatabaseAway
from devtelemetry.runtime import metrics
from devtelemetry.runtime.clock import now_ms
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.store.database import Connection, Database
from devtelemetry.store.tokens import Scope, create_token
from devtelemetry.v1 import PUSH, SERVICE, telemetry_pb2
from support.http_push import ENCODINGS, Encoding, push
from support.wire import Wire, count, request, sample, served

ORIGIN = "https://app.example"
HERE = "http://127.0.0.1:8080"
JSON = ENCODINGS[0]
BINARY = ENCODINGS[1]
JSON_TYPE = {"content-type": "application/json"}
every_encoding = pytest.mark.parametrize("encoding", ENCODINGS, ids=lambda one: one.content_type)
one_of_each = pytest.mark.parametrize(
    "encoding", [JSON, BINARY, ENCODINGS[2]], ids=lambda one: one.content_type
)


@dataclass
class Door:
    """The application with its HTTP and its gRPC interface."""

    client: httpx.AsyncClient
    wire: Wire


Opener = Callable[..., AbstractAsyncContextManager[Door]]


@pytest.fixture
def opened(database: Database) -> Opener:
    @asynccontextmanager
    async def opened(
        *,
        needs_token: bool = False,
        origins: tuple[str, ...] = (),
        **settings: Any,
    ) -> AsyncIterator[Door]:
        async with served(database, **settings) as wire:
            app = FastAPI()
            app.mount(
                f"/{SERVICE}",
                PushApp(
                    wire.service,
                    needs_token=needs_token,
                    origins=frozenset(origins),
                    hosts=KnownHosts(frozenset(), loopback=True),
                ),
            )
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
                yield Door(client, wire)

    return opened


@pytest_asyncio.fixture
async def door(opened: Opener) -> AsyncIterator[Door]:
    async with opened() as one:
        yield one


def answered(interface: str, status: str) -> float:
    number: float = metrics.REQUESTS.labels(interface, status)._value.get()
    return number


NOW = now_ms()


def full_request(channel: str) -> telemetry_pb2.PushRequest:
    """A request with a value in every field, and with some wrong samples."""
    wrote = {"channel_id": channel, "sent_by_receiver": True, "sent_at_clock": 1}
    return request(
        sample(
            channel_id=channel,
            sent_at=NOW - 5_000,
            topics=bytes(range(256)),
            envelope_id="0xee é ☃ \U0001f600",
            received_at=NOW - 4_000,
            message_type="CHAT_MESSAGE",
            message_size=4_000_000_000,
            via="HISTORY",
        ),
        sample(channel_id=channel, sent_at=NOW // 1000),
        sample(message_id="m2", sent_at=NOW - 3_000, **wrote),
        sample(
            message_id="m3",
            channel_id=channel,
            sent_at=NOW - 2_500,
            outcome="UNREADABLE",
            reason="no_key",
        ),
        first_sequence=7,
        client_time=NOW - 2_000,
        memberships=[telemetry_pb2.Membership(channel_id=channel, joined_at=NOW - 9_000)],
        lost=[
            telemetry_pb2.Lost(
                first_sequence=3,
                last_sequence=4,
                first_sent_at=NOW - 9_000,
                last_sent_at=NOW - 8_000,
            )
        ],
    )


async def stored(database: Database, channel: str) -> list[tuple[Any, ...]]:
    """All that is stored of a channel, by the apps' id of the channel."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select m.external_id, m.topics, m.envelope_id, m.message_size, to_jsonb(r) - "
            "'{channel_id,message_id,created_at}'::text[] as receipt, s.joined_at, f.reason "
            "from channel c join whole_message m using (channel_id) "
            "join whole_receipt r using (channel_id, message_id) "
            "left join membership_report s using (channel_id, receiver_id) "
            "left join failure f using (channel_id, message_id, receiver_id) "
            "where c.external_id = $1 order by 1",
            channel,
        )
    return [tuple(row) for row in rows]


@every_encoding
@pytest.mark.parametrize("packed", [False, True], ids=["plain", "packed"])
async def test_what_is_stored_and_answered_is_what_grpc_stores_and_answers(
    opened: Opener, database: Database, encoding: Encoding, packed: bool
) -> None:
    async with opened(clock=lambda: NOW) as door:
        by_grpc = await door.wire.push(full_request("by gRPC"))
        counted = answered(encoding.interface, "OK")
        by_http = await push(door.client, encoding, full_request("by HTTP"), packed=packed)
    assert (by_http.code, by_http.response) == ("ok", by_grpc)
    assert (by_grpc.accepted, len(by_grpc.rejections)) == (3, 1)
    assert answered(encoding.interface, "OK") - counted == 1
    rows = await stored(database, "by HTTP")
    assert len(rows) == 3
    assert rows == await stored(database, "by gRPC")


@every_encoding
async def test_a_refusal_is_grpcs(door: Door, encoding: Encoding) -> None:
    too_many = request(*(sample(message_id=f"m{i}") for i in range(5_001)))
    nobody = request(reporter=telemetry_pb2.Reporter(platform="web"))
    for refused in (too_many, nobody):
        error = await door.wire.refusal(refused)
        answer = await push(door.client, encoding, refused)
        assert (answer.code, answer.details) == ("invalid_argument", error.details())
        assert answer.retry_seconds is None


@every_encoding
async def test_a_token_is_asked_for_where_it_is_required(
    opened: Opener, database: Database, encoding: Encoding
) -> None:
    token = await create_token(database, "app", Scope.INGEST, now=datetime.now(UTC))
    reader = await create_token(database, "grafana", Scope.READ, now=datetime.now(UTC))
    async with opened(needs_token=True) as door:
        assert (await push(door.client, encoding, request(sample()), token=token)).code == "ok"
        for wrong in (None, "dt_guessed", reader):
            answer = await push(door.client, encoding, request(sample()), token=wrong)
            assert answer.code == "unauthenticated"
            assert "devtelemetry token create" in answer.details
        # HTTP asks for a token although gRPC does not, because each has its own address.
        assert (await door.wire.push(request(sample()))).accepted == 1


async def test_without_tokens_required_a_wrong_one_is_still_refused(door: Door) -> None:
    answer = await push(door.client, JSON, request(sample()), token="dt_wrong")
    assert (answer.code, answer.http.status_code) == ("unauthenticated", 401)
    assert answer.http.headers["www-authenticate"] == "Bearer"


async def test_who_has_no_token_has_no_byte_of_its_body_read(opened: Opener) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body is read")
        yield b""

    async with opened(needs_token=True) as door:
        answer = await door.client.post(PUSH, content=body(), headers=JSON_TYPE)
    assert answer.status_code == 401


@every_encoding
async def test_over_the_rate_of_its_token_a_client_is_told_when_to_come_back(
    opened: Opener, database: Database, encoding: Encoding
) -> None:
    token = await create_token(database, "app", Scope.INGEST, now=datetime.now(UTC))
    async with opened(token_rate="10") as door:
        burst = request(*(sample(message_id=f"m{i}") for i in range(100)))
        await door.wire.push(burst, token)  # all protocols share one rate
        answer = await push(door.client, encoding, burst, token=token)
    assert answer.code == "resource_exhausted"
    assert answer.retry_seconds is not None
    assert 0 < answer.retry_seconds <= 10
    assert 0 <= int(answer.http.headers["retry-after"]) - answer.retry_seconds < 1


@one_of_each
async def test_what_cannot_be_read_costs_the_rate_of_its_token(
    opened: Opener, database: Database, encoding: Encoding
) -> None:
    token = await create_token(database, "app", Scope.INGEST, now=datetime.now(UTC))
    nonsense = b"\xff" * MAX_REQUEST_BYTES
    async with opened(token_rate="100") as door:
        first = await push(door.client, encoding, nonsense, packed=True, token=token)
        second = await push(door.client, encoding, nonsense, packed=True, token=token)
    assert (first.code, second.code) == ("invalid_argument", "resource_exhausted")


@one_of_each
async def test_a_body_that_is_too_large_is_refused_for_good(
    door: Door, database: Database, encoding: Encoding
) -> None:
    """It may be too large on the wire or after unpacking, which stops as soon as that is clear."""
    for body, packed in (
        (b" " * (MAX_REQUEST_BYTES + 1), False),
        (b" " * (MAX_REQUEST_BYTES + 1), True),
        (b" " * (MAX_REQUEST_BYTES * 100), True),
        (b" " * (MAX_REQUEST_BYTES * 6), False),
    ):
        answer = await push(door.client, encoding, body, packed=packed)
        assert answer.code == "invalid_argument"
        assert "allowed:" in answer.details
    assert (await push(door.client, encoding, request(sample()))).code == "ok"
    assert await count(database, "receipt") == 1


@one_of_each
async def test_what_is_packed_wrongly_is_refused(door: Door, encoding: Encoding) -> None:
    packed = gzip.compress(b"{}" * 1000)
    for body in (packed[:-9], b"no gzip", packed[:4]):
        framed = b"\x01" + len(body).to_bytes(4, "big") + body
        content = framed if encoding.interface == "grpc-web" else body
        headers = {"content-type": encoding.content_type, **encoding.packing}
        answer = encoding.answer(await door.client.post(PUSH, content=content, headers=headers))
        assert answer.code == "invalid_argument"
        assert "gzip" in answer.details
    headers = dict.fromkeys(encoding.packing, "br") | {"content-type": encoding.content_type}
    answer = encoding.answer(await door.client.post(PUSH, content=b"", headers=headers))
    assert answer.code == "unimplemented"
    assert "allowed: gzip" in answer.details


@pytest.mark.parametrize(
    "body",
    [b"", b"\x00", b"\x00\x00\x00\x00\x05abc", b"\x00" * 10, b"\x02\x00\x00\x00\x00", b"\x80" * 9],
)
async def test_what_is_no_frame_is_refused(door: Door, body: bytes) -> None:
    web = ENCODINGS[2]
    headers = {"content-type": web.content_type}
    answer = web.answer(await door.client.post(PUSH, content=body, headers=headers))
    assert answer.code == "invalid_argument"
    text = ENCODINGS[5]
    headers = {"content-type": text.content_type}
    answer = text.answer(await door.client.post(PUSH, content=b"*" + body, headers=headers))
    assert answer.code == "invalid_argument"


@every_encoding
async def test_a_body_that_does_not_come_is_given_up(
    door: Door, encoding: Encoding, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    headers = {"content-type": encoding.content_type}
    answer = encoding.answer(await door.client.post(PUSH, content=stuck(), headers=headers))
    assert answer.code == "deadline_exceeded"
    assert answer.http.headers["connection"] == "close"


async def test_few_large_bodies_are_held_at_a_time(door: Door) -> None:
    """Further large requests are asked to come back later; small ones are not affected."""
    go_on = asyncio.Event()
    counted = answered("connect", "RESOURCE_EXHAUSTED")

    async def body() -> AsyncIterator[bytes]:
        yield b" " * (MAX_REQUEST_BYTES - 10)
        await go_on.wait()
        yield b"{}"

    async def send() -> httpx.Response:
        return await door.client.post(PUSH, content=body(), headers=JSON_TYPE)

    sending = [asyncio.create_task(send()) for _ in range(8)]
    async with asyncio.timeout(30):
        while answered("connect", "RESOURCE_EXHAUSTED") == counted:
            await asyncio.sleep(0.01)
    assert (await push(door.client, JSON, request(sample()))).code == "ok"
    go_on.set()
    answers = [JSON.answer(http) for http in await asyncio.gather(*sending)]
    assert {answer.code for answer in answers} == {"resource_exhausted", "invalid_argument"}
    assert {answer.retry_seconds for answer in answers} == {1.0, None}
    assert (await send()).status_code == 400  # the room of the first ones is free again


class AwayDatabase(Database):
    """A database that cannot be reached."""

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        raise DatabaseAway("password authentication failed for user secret")
        yield


@every_encoding
async def test_while_the_database_is_away_a_client_is_told_to_come_back(
    door: Door, encoding: Encoding, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(database, "acquire", AwayDatabase("postgresql://nowhere").acquire)
    answer = await push(door.client, encoding, request(sample()), token="dt_any")
    assert (answer.code, answer.retry_seconds) == ("unavailable", None)
    assert answer.details == "the database cannot be reached; try again later"
    assert answer.http.status_code == (503 if encoding.interface == "connect" else 200)
    monkeypatch.undo()
    assert (await push(door.client, encoding, request(sample()))).code == "ok"


@pytest.mark.slow
async def test_nothing_is_answered_for_that_could_not_be_committed(
    door: Door, monkeypatch: pytest.MonkeyPatch, database: Database
) -> None:
    monkeypatch.setattr(database, "acquire", AwayDatabase("postgresql://nowhere").acquire)
    answer = await push(door.client, JSON, request(sample()))
    assert (answer.code, answer.http.status_code) == ("unavailable", 503)
    assert "secret" not in answer.http.text


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "code", "told"),
    [
        ("GET", PUSH, {}, 405, "unimplemented", "POST"),
        ("PUT", PUSH, JSON_TYPE, 405, "unimplemented", "POST"),
        ("POST", f"/{SERVICE}/Pull", JSON_TYPE, 404, "unimplemented", "only Push"),
        ("POST", f"/{SERVICE}/", JSON_TYPE, 404, "unimplemented", "only Push"),
        ("POST", PUSH, {}, 415, "invalid_argument", "allowed: application/json"),
        ("POST", PUSH, {"content-type": "text/plain"}, 415, "invalid_argument", "'text/plain'"),
        ("POST", PUSH, {"content-type": "application/grpc"}, 415, "invalid_argument", "grpc-web"),
    ],
)
async def test_what_is_asked_wrongly_is_told_what_is_right(
    door: Door, method: str, path: str, headers: dict[str, str], status: int, code: str, told: str
) -> None:
    answer = await door.client.request(method, path, headers=headers, content=b"{}")
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert told in answer.json()["message"]
    if status == 405:
        assert answer.headers["allow"] == "POST, OPTIONS"


async def test_a_content_type_may_have_parameters(door: Door) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    body = b'{"reporter": {"receiver_public_key": "0x04aa"}}'
    answer = await door.client.post(PUSH, content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (200, {"accepted": 0, "rejections": []})


# -------------------------------------------------------------------------- pages of other origins

_ASKS = {"access-control-request-method": "POST", "access-control-request-headers": "content-type"}


async def test_a_page_that_is_named_may_push_and_is_told_so(opened: Opener) -> None:
    async with opened(origins=(ORIGIN,)) as door:
        asked = await door.client.options(PUSH, headers={"origin": ORIGIN, **_ASKS})
        assert (asked.status_code, asked.headers["access-control-allow-methods"]) == (204, "POST")
        allowed = asked.headers["access-control-allow-headers"]
        assert {"authorization", "content-type", "content-encoding"} <= set(allowed.split(", "))
        body = '{"reporter": {"receiver_public_key": "0x04aa"}}'
        pushed = await door.client.post(PUSH, content=body, headers={"origin": ORIGIN, **JSON_TYPE})
        wrong = await door.client.post(PUSH, content="{", headers={"origin": ORIGIN, **JSON_TYPE})
    assert (pushed.status_code, wrong.status_code) == (200, 400)
    for answer in (asked, pushed, wrong):  # otherwise the page sees only that it failed
        assert answer.headers["access-control-allow-origin"] == ORIGIN
        assert answer.headers["vary"] == "Origin"
        assert "retry-after" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


@pytest.mark.parametrize("origins", [(), ("https://other.example",)], ids=["none", "another"])
async def test_any_other_page_is_refused_and_told_nothing(
    opened: Opener, database: Database, origins: tuple[str, ...]
) -> None:
    async with opened(origins=origins) as door:
        for method in ("OPTIONS", "POST"):
            headers = {"origin": ORIGIN, **JSON_TYPE, **_ASKS}
            answer = await door.client.request(method, PUSH, headers=headers, content=b"{}")
            assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")
            assert "cors_origins" in answer.json()["message"]
            assert not [name for name in answer.headers if name.startswith("access-control")]
    assert await count(database, "receiver") == 0


@pytest.mark.parametrize(
    ("origin", "host", "status"),
    [
        (HERE, "127.0.0.1:8080", 200),
        ("http://localhost:8080", "localhost:8080", 200),
        ("http://localhost:3000", "localhost:8080", 403),
        ("http://evil.example", "evil.example", 421),  # a foreign name that points here
        ("null", "127.0.0.1:8080", 403),
    ],
)
async def test_a_page_of_this_very_server_need_not_be_named(
    door: Door, origin: str, host: str, status: int
) -> None:
    body = b'{"reporter": {"receiver_public_key": "0x04aa"}}'
    headers = {"origin": origin, "host": host, **JSON_TYPE}
    answer = await door.client.post(PUSH, content=body, headers=headers)
    assert answer.status_code == status
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "", "127.0.0.1@evil", "a b"])
async def test_who_asks_by_a_name_that_is_not_known_here_is_refused(door: Door, host: str) -> None:
    headers = {"host": host, **JSON_TYPE}
    answer = await door.client.post(PUSH, content=b"{}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (421, "permission_denied")
    assert "http_hosts" in answer.json()["message"]
