"""One client of bench/fuzz.py: what it sends, and whether the answer is allowed."""

import gzip
import json
import random
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import grpc
import httpx
from google.protobuf import json_format

from bench.checks import HONEST
from bench.mutations import TEXTS, spoil_bytes, spoil_document, spoil_message, written
from bench.shapes import encoded, headers_of, line_of, statusgo_items
from devtelemetry.ingest.check import MAX_REQUEST_BYTES, MAX_SAMPLES_PER_REQUEST
from devtelemetry.model import HOUR_MS, MINUTE_MS
from devtelemetry.v1 import PUSH, telemetry_pb2
from support.http_push import ENCODINGS
from support.program import command
from support.server import ServerProcess

_SPAN_MS = 3 * HOUR_MS  # of event time; windows over it are computed meanwhile
_IMPORT_EVERY = 200  # rounds of a client
_RESTARTED_EVERY = 500  # rounds of a client until it becomes another installation
_LATER, _TRIES = "RESOURCE_EXHAUSTED", 20
# All other answers are faults of the server.
_CODES = frozenset({"OK", "INVALID_ARGUMENT", "UNAUTHENTICATED", _LATER})
_ON_HTTP = (400, 401, 403, 404, 405, 408, 411, 413, 415, 421, 422, 429, 431, 501)
_STATUSGO = ("/record-metrics", "/update-envelope", "/protocol-stats", "/waku-metrics")
_PAGES = (
    "/", "/channel", "/window", "/export/window.csv", "/api/v1/reliability", "/api/v1/missing",
    "/api/v1/findings", "/metrics", "/healthz", "/readyz", "/docs", "/nowhere",
)  # fmt: skip
_PARAMETERS = (
    "timeframe", "from", "to", "channel", "start", "membership", "by", "versus", "channels",
    "receiver", "limit", "offset", "burst",
)  # fmt: skip
_VALUES = (
    *TEXTS, "1h", "1d", "9999-12-31", "0001-01-01T00:00Z", "latest", "2026-03-02T10:00:00+14:00",
)  # fmt: skip
_Answer = tuple[str, telemetry_pb2.PushResponse]


@dataclass(slots=True)
class Notes:
    """What one client notes."""

    answers: Counter[tuple[str, str]] = field(default_factory=Counter)  # by door and answer
    acknowledged: set[str] = field(default_factory=set)  # ids of honest messages
    findings: list[str] = field(default_factory=list)


def play(
    server: ServerProcess,
    notes: Notes,
    seed: int,
    number: int,
    rate: float,
    goes_on: Callable[[int], bool],
) -> None:
    """Plays rounds, at most `rate` a second, while `goes_on` is true for the round's number."""
    begun, began_ms = time.monotonic(), time.time_ns() // 1_000_000
    with (
        grpc.insecure_channel(server.grpc, options=[("n", number)]) as channel,
        httpx.Client(base_url=f"http://{server.http}", timeout=60) as web,
    ):
        client = _Client(server, channel, web, notes, number, began_ms)
        turn = 0
        while goes_on(turn):
            client.round(random.Random(f"{seed} {number} {turn}"), turn)
            turn += 1
            time.sleep(max(0.0, begun + turn / rate - time.monotonic()))


class _Client:
    def __init__(
        self,
        server: ServerProcess,
        channel: grpc.Channel,
        web: httpx.Client,
        notes: Notes,
        number: int,
        began_ms: int,
    ) -> None:
        self._server = server
        self._push: Any = channel.unary_unary(PUSH, None, None)
        self._web = web
        self._notes = notes
        self._number = number
        self._began_ms = began_ms
        self._turn = 0
        self._dice = random.Random()

    def round(self, dice: random.Random, turn: int) -> None:
        self._dice, self._turn = dice, turn
        try:
            if turn % _IMPORT_EVERY == _IMPORT_EVERY // 2:
                self._import()
            elif turn % 5 == 0:
                self._honest()
            else:
                dice.choices(
                    (self._grpc, self._http, self._statusgo, self._get, self._raw), (8, 8, 4, 2, 1)
                )[0]()
        except Exception as error:
            self._find(f"{type(error).__name__}: {error}")

    def _find(self, what: str) -> None:
        self._notes.findings.append(f"client {self._number}, round {self._turn}: {what[:500]}")

    def _note(self, door: str, answer: str, *, is_right: bool) -> None:
        self._notes.answers[door, answer] += 1
        if not is_right:
            self._find(f"{door} answered {answer}")

    # The reports.

    def _request(self, who: str, ids: Iterator[str], count: int) -> telemetry_pb2.PushRequest:
        dice, now_ms = self._dice, self._began_ms
        era = self._turn // _RESTARTED_EVERY
        sent_at = now_ms - dice.randrange(MINUTE_MS, _SPAN_MS)
        samples = [
            telemetry_pb2.Sample(
                message_id=next(ids),
                channel_id=f"{who}-channel-{dice.randrange(20)}",
                sent_at=sent_at + 1000 * position,
                topics=dice.randbytes(4),
                envelope_id=f"0x{dice.getrandbits(256):064x}",
                received_at=sent_at + 1000 * position + 700,
                message_type="CHAT_MESSAGE",
                message_size=dice.randrange(1000),
                via=telemetry_pb2.Sample.Via.LIVE,
            )
            for position in range(count)
        ]
        return telemetry_pb2.PushRequest(
            samples=samples,
            reporter=telemetry_pb2.Reporter(
                receiver_public_key=f"0x04{who}{self._number}{era}",
                installation_id=f"{who}-{self._number}-{era}",
                platform=dice.choice(("desktop", "android", "ios")),
                app_version="2.36.1",
                server="chat.example",
            ),
            first_sequence=1 + self._turn * 10,
            client_time=now_ms,
        )

    def _honest_request(self) -> telemetry_pb2.PushRequest:
        ids = (f"{HONEST}{self._number}-{self._turn}-{one}" for one in range(3))
        return self._request("honest", ids, 3)

    def _spoilt_request(self) -> telemetry_pb2.PushRequest:
        """A valid request, which will be spoilt."""
        dice = self._dice
        ids = (f"m-{dice.randrange(100_000)}" for _ in range(6))
        request = self._request("fuzz", ids, dice.randrange(7))
        for _ in range(dice.randrange(3)):
            joined_at = self._began_ms - dice.randrange(_SPAN_MS)
            request.memberships.add(
                channel_id=f"fuzz-channel-{dice.randrange(20)}",
                joined_at=joined_at,
                left_at=dice.choice((0, joined_at + 60_000)),
            )
        if dice.random() < 0.2:
            request.lost.add(
                first_sequence=5,
                last_sequence=9,
                first_sent_at=self._began_ms - _SPAN_MS,
                last_sent_at=self._began_ms,
            )
        return request

    def _company(self) -> telemetry_pb2.PushRequest:
        """A request with a good sample to put beside spoilt ones, of a separate installation.

        So no spoilt opt-out can hit it.
        """
        return self._request("company", iter([f"{HONEST}c-{self._number}-{self._turn}"]), 1)

    def _with_company(self, request: telemetry_pb2.PushRequest) -> str:
        """Puts a good sample among the samples of a request; returns its message id."""
        company = self._company()
        (good,) = company.samples
        request.reporter.CopyFrom(company.reporter)
        request.forget = False
        good.receiver_public_key = company.reporter.receiver_public_key
        request.samples.insert(self._dice.randrange(len(request.samples) + 1), good)
        return good.message_id

    def _check_company(
        self,
        door: str,
        company: str,
        request: telemetry_pb2.PushRequest,
        code: str,
        response: telemetry_pb2.PushResponse,
    ) -> None:
        """Checks that the good sample was not refused because of the samples beside it."""
        refused = {request.samples[one.index].message_id for one in response.rejections}
        if code == "OK" and company not in refused:
            self._notes.acknowledged.add(company)
        elif (
            len(request.samples) <= MAX_SAMPLES_PER_REQUEST
            and request.ByteSize() <= MAX_REQUEST_BYTES
        ):
            self._find(f"{door}: a good sample was refused: {code} {str(response)[:300]}")

    # The doors.

    def _honest(self) -> None:
        dice, request = self._dice, self._honest_request()
        times = dice.choice((1, 1, 2))  # twice, as after an answer that was lost
        if dice.random() < 0.4:
            for _ in range(times):
                self._acknowledge("gRPC, honest", request, self._by_grpc)
        elif dice.random() < 0.8:
            encoding = dice.choice(ENCODINGS)
            is_packed = dice.random() < 0.3

            def by_http(request: telemetry_pb2.PushRequest) -> _Answer:
                body = encoding.body(encoded(encoding, request), packed=is_packed)
                http = self._post(PUSH, body, headers_of(encoding, is_packed=is_packed))
                answer = encoding.answer(http)
                return answer.code.upper(), answer.response

            for _ in range(times):
                self._acknowledge(f"{encoding.content_type}, honest", request, by_http)
        else:
            body = json.dumps(statusgo_items(request)).encode()
            http = self._post("/record-metrics", body, {"content-type": "application/json"})
            self._note("status-go, honest", str(http.status_code), is_right=http.status_code == 201)
            self._notes.acknowledged.update(one.message_id for one in request.samples)

    def _by_grpc(self, request: telemetry_pb2.PushRequest) -> _Answer:
        return self._call(request.SerializeToString(), ())

    def _acknowledge(
        self,
        door: str,
        request: telemetry_pb2.PushRequest,
        push: Callable[[telemetry_pb2.PushRequest], _Answer],
    ) -> None:
        code, response = push(request)
        for _ in range(_TRIES):
            if code != _LATER:
                break
            time.sleep(0.2)
            code, response = push(request)
        self._note(door, code, is_right=code == "OK")
        if response.rejections or response.accepted != len(request.samples):
            self._find(f"{door}: {response}")
        self._notes.acknowledged.update(one.message_id for one in request.samples)

    def _call(self, body: bytes, metadata: tuple[tuple[str, str], ...]) -> _Answer:
        packing = self._dice.choice((grpc.Compression.NoCompression, grpc.Compression.Gzip))
        try:
            answer = self._push(body, metadata=metadata, compression=packing, timeout=60)
        except grpc.RpcError as error:
            return error.code().name, telemetry_pb2.PushResponse()
        return "OK", telemetry_pb2.PushResponse.FromString(answer)

    def _grpc(self) -> None:
        dice, request = self._dice, self._spoilt_request()
        spoil_message(dice, request)
        company = self._with_company(request) if dice.random() < 0.3 else None
        body = request.SerializeToString()
        if company is None and dice.random() < 0.5:
            body = spoil_bytes(dice, body)
        token = (("authorization", "Bearer dt_none"),) if dice.random() < 0.02 else ()
        code, response = self._call(body, token)
        self._note("gRPC", code, is_right=code in _CODES)
        if company is not None and not token:
            self._check_company("gRPC", company, request, code, response)

    def _http(self) -> None:
        dice, request = self._dice, self._spoilt_request()
        encoding = dice.choice(ENCODINGS)
        headers = headers_of(encoding, is_packed=False)
        company = None
        if encoding.is_json and dice.random() < 0.7:
            document = json_format.MessageToDict(request, preserving_proto_field_name=True)
            body = written(dice, spoil_document(dice, document))
        else:
            spoil_message(dice, request)
            company = self._with_company(request) if dice.random() < 0.3 else None
            body = encoded(encoding, request)
        if company is None and dice.random() < 0.3:
            body = spoil_bytes(dice, body)
        body = encoding.body(body, packed=False)
        is_readable = True
        if company is None and dice.random() < 0.3:
            is_readable = False
            body, headers = self._spoilt_frame(body, headers)
        http = self._post(PUSH, body, headers)
        if is_readable:
            answer = encoding.answer(http)
            code = answer.code.upper()
            self._note(encoding.content_type, code, is_right=code in _CODES)
            if company is not None:
                self._check_company(encoding.content_type, company, request, code, answer.response)
        else:
            self._note_status("Push by HTTP, spoilt frame or headers", http)

    def _spoilt_frame(self, body: bytes, headers: dict[str, str]) -> tuple[bytes, dict[str, str]]:
        dice, kind = self._dice, self._dice.random()
        if kind < 0.4:
            return spoil_bytes(dice, body), headers
        if kind < 0.7:  # claims compression: is not compressed, is broken, or unpacks to very much
            packed = dice.choice((body, spoil_bytes(dice, gzip.compress(body)), _BOMB))
            named = dice.choice(("content-encoding", "grpc-encoding"))
            return packed, headers | {named: dice.choice(("gzip", "br", "identity", ""))}
        kinds = ("", "text/plain", "application/json; charset=latin-1", "application/grpc", "a/b/c")
        other = {
            "content-type": dice.choice(kinds),
            "authorization": dice.choice(("Bearer", "Bearer dt_x", "Basic eDp5")),
            "origin": dice.choice(("https://elsewhere.example", "null", "")),
            "connect-protocol-version": "99",
            "grpc-timeout": dice.choice(("1n", "99999999999H", "x")),
            "x-forwarded-for": "10.0.0.1, ::1",
        }
        name = dice.choice(list(other))
        return body, headers | {name: other[name]}

    def _statusgo(self) -> None:
        dice = self._dice
        document = spoil_document(dice, statusgo_items(self._spoilt_request()))
        if dice.random() < 0.3 and isinstance(document, list):
            company = self._company()
            # The good sample comes first, because items beyond the limit are dropped.
            body = json.dumps([statusgo_items(company)[0], *document]).encode()
            http = self._post(_STATUSGO[0], body, {"content-type": "application/json"})
            self._note("status-go", str(http.status_code), is_right=http.status_code == 201)
            self._notes.acknowledged.add(company.samples[0].message_id)
            return
        body = written(dice, document)
        if dice.random() < 0.4:
            body = spoil_bytes(dice, body)
        headers = {"content-type": "application/json"}
        if dice.random() < 0.2:
            headers["content-encoding"] = "gzip"
            body = dice.choice((gzip.compress(body), body, spoil_bytes(dice, gzip.compress(body))))
        path = _STATUSGO[0] if dice.random() < 0.9 else dice.choice(_STATUSGO)
        self._note_status("status-go", self._post(path, body, headers))

    def _get(self) -> None:
        dice = self._dice
        names = dice.sample(_PARAMETERS, dice.randrange(4))
        parameters = {name: dice.choice(_VALUES)[:4000] for name in names}
        path = dice.choice(_PAGES)
        method = dice.choice(("GET", "GET", "GET", "HEAD", "POST", "PUT", "OPTIONS"))
        http = self._web.request(method, path, params=parameters)
        self._note_status(f"{path}", http)

    def _raw(self) -> None:
        """Sends bytes to a port that no library would send."""
        dice = self._dice
        request = self._spoilt_request().SerializeToString()
        if dice.random() < 0.5:
            door, address = "HTTP, raw", self._server.http
            head = (
                f"POST {PUSH} HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/proto\r\n"
                f"content-length: {len(request)}\r\n\r\n"
            )
            body = head.encode() + request
        else:
            door, address = "gRPC, raw", self._server.grpc
            settings = bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
            body = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + settings + request
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=1.0) as raw:
            answer = b""
            with suppress(OSError):  # the server may close it at any byte
                raw.sendall(spoil_bytes(dice, body))
                raw.shutdown(socket.SHUT_WR)
                answer = raw.recv(65_536)
        first = answer.partition(b"\r\n")[0]
        is_http = first.startswith(b"HTTP/1.1 ")
        status = int(first.split()[1]) if is_http else None
        self._note(
            door, str(status or "closed"), is_right=status is None or status in (*_ON_HTTP, 200)
        )

    def _post(self, path: str, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        return self._web.post(path, content=body, headers=dict(headers))

    def _note_status(self, door: str, http: httpx.Response) -> None:
        status = http.status_code
        is_right = status < 400 or status in _ON_HTTP
        self._note(door, str(status), is_right=is_right)

    def _import(self) -> None:
        """Imports a file with good lines between spoilt ones."""
        dice, lines, ids = self._dice, list[bytes](), list[str]()
        for number in range(100):
            if dice.random() < 0.2:
                ids.append(f"{HONEST}i-{self._number}-{self._turn}-{number}")
                request = self._request("import", iter([ids[-1]]), 1)
                lines.append(json.dumps(line_of(request, self._began_ms)).encode())
            else:
                request = self._request("fuzz", iter([f"m-{dice.randrange(100_000)}"]), 1)
                document = spoil_document(dice, line_of(request, self._began_ms))
                line = written(dice, document)
                lines.append(spoil_bytes(dice, line) if dice.random() < 0.3 else line)
        done = subprocess.run(
            command("import", self._server.where, "-"),
            input=b"\n".join(lines) + b"\n",
            capture_output=True,
            check=False,
        )
        is_right = done.returncode in (0, 1) and done.stdout.startswith(b"imported ")
        self._note("import", f"status {done.returncode}", is_right=is_right)
        if not is_right or b"Traceback" in done.stderr:
            self._find(f"import: {done.stdout!r} {done.stderr!r}")
        self._notes.acknowledged.update(ids)


def _is_in_limits(request: telemetry_pb2.PushRequest) -> bool:
    return (
        len(request.samples) <= MAX_SAMPLES_PER_REQUEST and request.ByteSize() <= MAX_REQUEST_BYTES
    )


_BOMB = gzip.compress(bytes(64 * 2**20))
