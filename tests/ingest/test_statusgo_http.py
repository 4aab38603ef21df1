"""status-go's interface, with a real group commit and a real PostgreSQL."""

import asyncio
import gzip
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import orjson
import pytest
from fastapi import FastAPI

from devtelemetry.ingest import bodies, statusgo_http
from devtelemetry.ingest.caps import TurnedAway
from devtelemetry.ingest.check import AgeLimits
from devtelemetry.ingest.rows import SettleRule
from devtelemetry.ingest.statusgo_http import statusgo_router
from devtelemetry.ingest.submission import Submission
from devtelemetry.ingest.writer import GroupCommit, QueueLimits
from devtelemetry.model import HOUR_MS
from devtelemetry.model.errors import Busy, ConfigurationError
from devtelemetry.runtime import metrics
from devtelemetry.runtime.hosts import KnownHosts
from devtelemetry.runtime.rates import address_key
from devtelemetry.store.database import Database
from oracle.model import canonical
from oracle.recording import Recording, read_recording, recording_path, shift, to_samples

NOW = 1_772_456_400_000  # 2026-03-02 13:00 UTC
KEY, OTHER_KEY = "0x" + "ab" * 32, "0x" + "cd" * 32
POSTS = ("record-metrics", "update-envelope", "protocol-stats", "waku-metrics")
ONCE = POSTS[1:]  # the client sends these once, and does not read the answer


@dataclass
class Clock:
    now_ms: int = NOW

    def __call__(self) -> int:
        return self.now_ms

    def seconds(self) -> float:
        return (self.now_ms - NOW) / 1000


@dataclass
class Service:
    """An application with the router, and its database."""

    app: FastAPI
    writer: GroupCommit
    database: Database
    clock: Clock

    def client(self, host: str = "192.0.2.1") -> httpx.AsyncClient:
        transport = httpx.ASGITransport(self.app, client=(host, 50_000))
        return httpx.AsyncClient(transport=transport, base_url="http://test")

    async def post(
        self, path: str, content: bytes | AsyncIterator[bytes], host: str = "192.0.2.1", **more: Any
    ) -> httpx.Response:
        async with self.client(host) as client:
            return await client.post(path, content=content, **more)

    async def report(self, *items: Any) -> httpx.Response:
        return await self.post("/record-metrics", orjson.dumps(items))

    async def rows(self, sql: str) -> list[tuple[Any, ...]]:
        async with self.database.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(sql)]

    async def counts(self) -> dict[str, int]:
        """The number of rows of each kind."""
        tables = ("message", "receipt", "envelope_event")
        return {table: (await self.rows(f"select count(*) from {table}"))[0][0] for table in tables}


class BrokenWriter(GroupCommit):
    """Answers each submission with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    async def submit(self, submission: Submission) -> TurnedAway:  # noqa: ARG002
        raise self.error


Opener = Callable[..., Any]


@pytest.fixture
def opened(database: Database) -> Opener:
    @asynccontextmanager
    async def opened(
        *,
        clock: Clock | None = None,
        writer: GroupCommit | None = None,
        requests_per_second: float = 1_000,
        max_body_bytes: int = statusgo_http.MAX_BODY_BYTES,
    ) -> AsyncIterator[Service]:
        clock = clock or Clock()
        async with AsyncExitStack() as stack:
            if writer is None:
                writer = await stack.enter_async_context(
                    GroupCommit(
                        database,
                        await database.keyring(),
                        settle_rule=SettleRule(),
                        limits=QueueLimits(),
                        now_ms=clock,
                    )
                )
            app = FastAPI()
            app.include_router(
                statusgo_router(
                    writer,
                    age_limits=AgeLimits(),
                    now_ms=clock,
                    hosts=KnownHosts(frozenset({"test"}), loopback=False),
                    monotonic=clock.seconds,
                    requests_per_second=requests_per_second,
                    max_body_bytes=max_body_bytes,
                )
            )
            yield Service(app, writer, database, clock)

    return opened


@pytest.fixture
async def service(opened: Opener) -> AsyncIterator[Service]:
    async with opened() as service:
        yield service


def received(message_id: str = "0x01", **fields: Any) -> dict[str, Any]:
    entry = {
        "chatId": "chat",
        "deviceType": "desktop",
        "messageHash": "0xe1",
        "messageId": message_id,
        "messageType": "CHAT_MESSAGE",
        "peerId": "peer",
        "receiverKeyUID": KEY,
        "sentAt": NOW // 1000 - 60,
        "statusVersion": "v3.5.0",
    }
    return {"id": 0, "telemetry_type": "ReceivedMessages", "telemetry_data": [entry | fields]}


def sent(message_hash: str = "0xe1") -> dict[str, Any]:
    data = {"senderKeyUID": OTHER_KEY, "peerId": "other", "messageHash": message_hash}
    return {"id": 0, "telemetry_type": "SentEnvelope", "telemetry_data": data}


def peer_count(count: int) -> dict[str, Any]:
    data = {"peerCount": count, "nodeName": "alice", "peerId": "peer", "timestamp": NOW // 1000}
    return {"id": 0, "telemetry_type": "PeerCount", "telemetry_data": data}


@dataclass
class Counted:
    """How much counters grew since its construction."""

    def __post_init__(self) -> None:
        self._start = self._values()

    @staticmethod
    def _values() -> dict[str, float]:
        values = {}
        for metric in metrics.REGISTRY.collect():
            for sample in metric.samples:
                interface = sample.labels.get("interface", "status-go")
                if sample.name.endswith("_total") and interface == "status-go":
                    name = sample.name.removeprefix("devtelemetry_").removesuffix("_total")
                    labels = [v for k, v in sample.labels.items() if k != "interface"]
                    values[" ".join([name, *labels])] = sample.value
        return values

    def of(self, *names: str) -> dict[str, float]:
        """The counters that changed and whose names begin with one of `names`."""
        return {
            name: value - self._start.get(name, 0)
            for name, value in self._values().items()
            if name.startswith(names) and value != self._start.get(name, 0)
        }


# Where requests come from


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"origin": "http://test"}, 201),  # a page of this very server
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"host": "evil.example", "origin": "http://evil.example"}, 421),  # it points here
        ({"host": "evil.example"}, 421),
    ],
)
async def test_a_web_page_elsewhere_reports_nothing(
    service: Service, path: str, headers: dict[str, str], status: int
) -> None:
    counted = Counted()
    # A page can send this type without a preflight request.
    answer = await service.post(
        f"/{path}", orjson.dumps([received()]), headers=headers | {"content-type": "text/plain"}
    )
    assert answer.status_code == status
    assert counted.of("requests") == {f"requests {status}": 1}
    stored = status == 201 and path == "record-metrics"
    assert (await service.counts())["receipt"] == stored


async def test_it_is_kept_behind_which_network_a_receiver_is(service: Service) -> None:
    """So that all receivers in one network are believed no more than one receiver."""
    for host, peer in (("192.0.2.1", "a"), ("192.0.2.2", "b"), ("198.51.100.1", "c")):
        await service.post("/record-metrics", orjson.dumps([received(peerId=peer)]), host)
    rows = await service.rows("select bucket_id, token from receiver")
    assert sorted(Counter(bucket for bucket, _ in rows).values()) == [1, 2]
    assert {token for _, token in rows} == {""}


# What is acknowledged is stored


async def test_a_batch_is_committed_counted_and_acknowledged(service: Service) -> None:
    counted = Counted()
    answer = await service.report(
        received(), received("0x"), received("0x02", sentAt=0), sent(), peer_count(3), 5
    )
    assert (answer.status_code, answer.content) == (201, b"[]")
    assert answer.headers["content-type"] == "application/json"
    # The receiver that holds the message and, by its envelope, its author.
    rows = await service.rows(
        "select created_at, sent_by_receiver from whole_receipt order by sent_by_receiver"
    )
    assert rows == [(NOW, False), (None, True)]
    assert counted.of("samples_accepted", "samples_rejected", "reports_not_kept", "requests") == {
        "samples_accepted": 1,
        "reports_not_kept": 1,
        "samples_rejected missing_field": 2,
        "samples_rejected wrong_shape": 1,
        "requests 201": 1,
    }


async def test_a_lost_answer_and_sending_again_counts_once(service: Service) -> None:
    batch = [received(), sent(), peer_count(3), {"id": 1, "telemetry_type": "New"}]
    batch[3]["telemetry_data"] = {"without": "a time"}
    await service.report(*batch)
    before = await service.counts()
    service.clock.now_ms += HOUR_MS
    # The client sends it again, with what it has gathered since.
    answer = await service.report(*batch, peer_count(4))
    assert answer.status_code == 201
    assert await service.counts() == before
    assert await service.rows(
        "select created_at from whole_receipt where not sent_by_receiver"
    ) == [(NOW,)]


@pytest.mark.parametrize("batches", [[[0], [1]], [[1], [0]], [[0, 1]]])
async def test_an_author_is_known_whichever_half_comes_first(
    service: Service, batches: list[list[int]]
) -> None:
    items = [received(), sent()]
    for batch in batches:
        await service.report(*[items[index] for index in batch])
    assert await service.rows("select count(*) from receipt where sent_by_receiver") == [(1,)]


def at(path: str) -> httpx.URL:
    """`path` unchanged: if it were joined to a URL, two slashes would begin a host."""
    return httpx.URL("http://test").copy_with(raw_path=path.encode())


async def replay(service: Service, recording: Recording) -> list[httpx.Response]:
    async with service.client() as client:
        return [
            await client.request(
                r.method, at(r.path), content=r.body.encode(), headers=dict(r.headers)
            )
            for r in recording
        ]


async def test_the_recorded_quirks_are_stored_once_however_often_they_come(opened: Opener) -> None:
    path = recording_path("status-go-quirks.ndjson.gz")
    assert path is not None
    recording = read_recording(path)
    hours = (int(time.time() * 1000) - recording[-1].t_ms) // HOUR_MS
    recording = shift(recording, hours)
    mapped = to_samples(recording)
    counted = Counted()
    async with opened(clock=Clock(recording[-1].t_ms)) as service:
        answers = await replay(service, recording)
        assert [answer.status_code for answer in answers] == [201] * 6
        assert [answer.content for answer in answers] == [b"[]"] * 2 + [b""] * 4
        assert [answer.headers["content-length"] for answer in answers] == ["2"] * 2 + ["0"] * 4
        stored = await service.counts()
        messages = {sample.message for sample in mapped.receipts}
        receipts = {(s.message, s.receiver_public_key, s.installation_id) for s in mapped.samples}
        assert (
            (stored["message"], stored["receipt"]) == (len(messages), len(receipts)) == (5001,) * 2
        )
        said = {(e.kind, e.envelope_id, e.installation_id) for e in mapped.events}
        assert stored["envelope_event"] == len(said) > 0

        service.clock.now_ms += 60_000
        await replay(service, recording)
        assert await service.counts() == stored
    assert counted.of("samples", "reports_not_kept", "requests") == {
        # Both times: 2 in the batches, an update, 1 of statistics. The other update says that an
        # envelope could not be read, and names none.
        "reports_not_kept": 2 * (2 + 1 + 1),
        "samples_accepted": 2 * 5001,
        "samples_duplicate": 5001,
        "samples_rejected missing_field": 2 * (mapped.rejected["missing_field"] + 1),
        "requests 201": 12,
    }


async def test_recorded_traffic_is_stored_as_the_oracle_reads_it(opened: Opener) -> None:
    path = recording_path("status-go-small.ndjson.gz")
    assert path is not None
    recording = read_recording(path)
    mapped = to_samples(recording)
    messages = canonical([*mapped.samples, *mapped.unreadable], mapped.events)
    expected = Counter(
        (*key, None if receipt is None else receipt.created_at.get("held"))
        for key, message in messages.items()
        for receiver in message.vouchers
        for receipt in [message.receipts.get(receiver)]
    )

    async with opened(clock=Clock()) as service:
        for request in recording:
            service.clock.now_ms = request.t_ms
            await replay(service, [request])
        rows = await service.rows(
            "select c.external_id, m.external_id, r.created_at from whole_receipt r"
            " join channel c using (channel_id) join whole_message m using (channel_id, message_id)"
        )
    assert Counter(rows) == expected


async def test_a_batch_larger_than_a_group_is_stored_whole(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statusgo_http, "GROUP_SAMPLES", 2)
    items = [received(f"0x{n}") for n in range(5)]
    await service.report(*items, sent("0x1"), sent("0x2"), sent("0x3"), peer_count(3))
    assert await service.counts() == {
        "message": 5,
        "receipt": 5,
        "envelope_event": 3,
    }


async def test_a_compressed_batch_is_taken(service: Service) -> None:
    body = gzip.compress(orjson.dumps([received()]))
    answer = await service.post("/record-metrics", body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (201, b"[]")
    assert (await service.counts())["message"] == 1


# A body that can never be accepted is not asked for again, and does later ones no harm

HOPELESS = [
    (b"<html>502 Bad Gateway</html>", "not_json"),
    (b'{"id":0}', "not_an_array"),
    (b"\xff\xfe\x00", "not_json"),
    (b"\0", "not_json"),
    (b'{"a":' * 20_000, "not_json"),
]


@pytest.mark.parametrize(("body", "reason"), HOPELESS, ids=lambda v: str(v)[:12])
async def test_a_hopeless_batch_is_dropped_and_counted(
    service: Service, body: bytes, reason: str
) -> None:
    counted = Counted()
    answer = await service.post("/record-metrics", body)
    assert (answer.status_code, answer.content) == (201, b"[]")
    assert counted.of("samples_rejected", "requests") == {
        f"samples_rejected {reason}": 1,
        "requests 201": 1,
    }
    await service.report(received())
    assert (await service.counts())["message"] == 1


@pytest.mark.parametrize("path", ONCE)
@pytest.mark.parametrize("body", [b"<html>", b"[", b"\xff", b"{" * 5_000])
async def test_a_hopeless_report_is_dropped_without_a_word(
    service: Service, path: str, body: bytes
) -> None:
    counted = Counted()
    answer = await service.post(f"/{path}", body)
    assert (answer.status_code, answer.content) == (201, b"")
    assert sum(counted.of("samples_rejected").values()) == 1


@pytest.mark.parametrize("path", ONCE)
async def test_an_empty_report_is_no_fault(service: Service, path: str) -> None:
    counted = Counted()
    answer = await service.post(f"/{path}", b"")
    assert (answer.status_code, answer.content) == (201, b"")
    assert counted.of("samples") == {}


async def test_a_batch_that_was_lost_on_the_way_is_asked_for_again(service: Service) -> None:
    # After a redirect a client may send no body. A 201 would then lose its batch for good.
    answer = await service.post("/record-metrics", b"")
    assert answer.status_code == 400
    async with service.client() as client:
        assert (await client.get("/record-metrics")).status_code == 405


async def chunks(*parts: bytes) -> AsyncIterator[bytes]:
    for part in parts:
        yield part


@pytest.mark.parametrize("announced", [True, False])
async def test_a_batch_that_is_too_large_is_dropped_and_counted(
    opened: Opener, announced: bool
) -> None:
    counted = Counted()
    async with opened(max_body_bytes=1_000) as service:
        large = orjson.dumps([received()] * 5)
        body = large if announced else chunks(large[:900], large[900:])
        answer = await service.post("/record-metrics", body)
        assert (answer.status_code, answer.content) == (201, b"[]")
        await service.report(received())
        assert (await service.counts())["message"] == 1
    assert counted.of("samples_rejected") == {"samples_rejected too_large": 1}


async def test_the_end_of_an_endless_body_is_not_waited_for(opened: Opener) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"[" * 1_000

    async with opened(max_body_bytes=10_000) as service:
        answer = await service.post("/record-metrics", endless())
        assert (answer.status_code, answer.headers["connection"]) == (413, "close")
        assert (await service.report(received())).status_code == 201


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(b"[" + b" " * 100_000 + b"]"), "too_large"),
        (gzip.compress(b"[]")[:-9], "not_json"),
        (b"[]", "not_json"),
    ],
    ids=["too large", "cut off", "not compressed"],
)
async def test_a_bad_compressed_batch_is_dropped_and_counted(
    opened: Opener, body: bytes, reason: str
) -> None:
    counted = Counted()
    async with opened(max_body_bytes=50_000) as service:
        answer = await service.post("/record-metrics", body, headers={"Content-Encoding": "gzip"})
    assert (answer.status_code, answer.content) == (201, b"[]")
    assert counted.of("samples_rejected") == {f"samples_rejected {reason}": 1}


# A body that may be accepted later is asked for again


async def test_while_the_server_stops_nothing_is_acknowledged(opened: Opener) -> None:
    async with opened() as service:
        pass
    counted = Counted()
    answer = await service.report(received(), received("0x"))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    # The client logs the objects of such an array.
    assert list(answer.json()[0]) == ["id", "error"]
    assert counted.of("samples", "requests") == {"requests 503": 1}


async def test_a_full_queue_is_told_with_when_to_come_again(opened: Opener) -> None:
    async with opened(writer=BrokenWriter(Busy("full", retry_after_seconds=1.2))) as service:
        answer = await service.report(received())
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "2")
    assert answer.json() == [{"id": 0, "error": "full"}]


async def test_a_bug_is_no_acknowledgement(opened: Opener) -> None:
    counted = Counted()
    async with opened(writer=BrokenWriter(ZeroDivisionError())) as service:
        with pytest.raises(ZeroDivisionError):
            await service.report(received())
    assert counted.of("samples", "requests") == {"requests 500": 1}


async def test_a_body_that_does_not_come_is_given_up(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def stuck() -> AsyncIterator[bytes]:
        yield b"["
        await asyncio.Event().wait()

    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    answer = await service.post("/record-metrics", stuck())
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")


async def test_a_client_that_goes_away_leaves_nothing_behind(service: Service) -> None:
    messages: list[dict[str, Any]] = [
        {"type": "http.request", "body": b'[{"id":', "more_body": True},
        {"type": "http.disconnect"},
    ]

    async def receive() -> dict[str, Any]:
        return messages.pop(0)

    async def send(_: object) -> None:
        pass

    counted = Counted()
    scope: dict[str, Any] = {
        "type": "http",
        "method": "POST",
        "path": "/record-metrics",
        "query_string": b"",
        "headers": [(b"host", b"test")],
        "client": None,
    }
    await service.app(scope, receive, send)
    assert not messages
    assert counted.of("samples", "requests") == {"requests 400": 1}
    assert (await service.report(received())).status_code == 201


async def test_large_bodies_beyond_what_memory_allows_are_asked_for_again(opened: Opener) -> None:
    size = 256 * 1024
    go_on = asyncio.Event()

    async def slowly(arrived: asyncio.Event) -> AsyncIterator[bytes]:
        yield b"[" + b" " * (size - 2)
        arrived.set()
        await go_on.wait()
        yield b"]"

    async with opened(max_body_bytes=size) as service:
        held = []
        for _ in range(4):
            arrived = asyncio.Event()
            held.append(asyncio.create_task(service.post("/record-metrics", slowly(arrived))))
            await arrived.wait()
        assert (await service.post("/record-metrics", b" " * size)).status_code == 429
        assert (await service.report(received())).status_code == 201, "a small one always passes"
        go_on.set()
        assert [(await task).status_code for task in held] == [201] * 4
        assert (await service.post("/record-metrics", b"[]" + b" " * (size - 2))).status_code == 201


# Paths


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize("form", ["/{}", "/{}/", "//{}", "//{}/"])
async def test_slashes_around_a_path_are_answered_directly(
    service: Service, path: str, form: str
) -> None:
    async with service.client() as client:
        answer = await client.post(at(form.format(path)), content=b"[]", follow_redirects=False)
    assert answer.status_code == 201


async def test_health(service: Service) -> None:
    async with service.client() as client:
        assert (await client.get("/health")).status_code == 200
        assert (await client.get("/health/")).status_code == 200
        assert (await client.head("/health")).status_code == 200


async def test_the_interface_of_older_clients_is_not_in_the_documentation(service: Service) -> None:
    assert service.app.openapi()["paths"] == {}


# One address must not use up what is for all


async def test_an_address_has_a_rate(opened: Opener) -> None:
    async with opened(requests_per_second=0.2) as service:
        answers = [await service.report(received()) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [201, 201, 429]
        assert answers[2].headers["retry-after"] == "5"
        answer = await service.post("/update-envelope", b"{}")
        assert (answer.status_code, answer.content) == (429, b"")
        assert (await service.post("/record-metrics", b"[]", host="192.0.2.2")).status_code == 201
        async with service.client() as client:
            assert (await client.get("/health")).status_code == 200
        service.clock.now_ms += 5_000
        assert (await service.report(received())).status_code == 201


@pytest.mark.parametrize(
    ("a", "b", "shared"),
    [
        ("192.0.2.1", "192.0.2.2", False),
        ("2001:db8::1", "2001:db8::ffff:0:0:1", True),
        ("2001:db8::1", "2001:db8:0:1::1", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("::ffff:192.0.2.1", "::ffff:192.0.2.2", False),
        ("fe80::1%eth0", "fe80::2", True),
        ("", "", True),
        ("a socket", "another", False),
    ],
)
def test_a_customers_addresses_share_a_rate(a: str, b: str, shared: bool) -> None:
    assert (address_key(a) == address_key(b)) == shared


@pytest.mark.parametrize("rate", [0, -1, float("nan"), float("inf")])
async def test_a_rate_that_is_none_is_refused(opened: Opener, rate: float) -> None:
    with pytest.raises(ConfigurationError):
        async with opened(requests_per_second=rate):
            pass
