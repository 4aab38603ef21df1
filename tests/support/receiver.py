"""A receiver of remote write on loopback that answers as a test decides, and keeps points."""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import cramjam

from devtelemetry.publish.remote_write_pb2 import WriteRequest

Point = tuple[tuple[tuple[str, str], ...], int, float]  # labels, Unix ms, value


@dataclass(frozen=True)
class Answer:
    status: int
    text: str = ""
    headers: dict[str, str] = field(default_factory=dict)


TAKEN = Answer(204)


@dataclass
class Receiver:
    """answer  a function from a request's points to the response; with a 2xx they are kept"""

    answer: Callable[[list[Point]], Answer] = lambda _: TAKEN
    requests: list[list[Point]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)  # names in lower case
    taken: list[Point] = field(default_factory=list)
    url: str = ""

    def take(self, headers: dict[str, str], body: bytes) -> Answer:
        request = WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
        points = [
            (tuple((label.name, label.value) for label in one.labels), point.timestamp, point.value)
            for one in request.timeseries
            for point in one.samples
        ]
        self.requests.append(points)
        self.headers.append({name.lower(): value for name, value in headers.items()})
        answer = self.answer(points)
        if 200 <= answer.status < 300:
            self.taken += points
        return answer


@contextlib.contextmanager
def receiving(receiver: Receiver, context: ssl.SSLContext | None = None) -> Iterator[Receiver]:
    """Serves it until the block is left, by TLS if there is a `context`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else a response in two parts takes 40 ms

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = receiver.take(dict(self.headers), body)
            text = answer.text.encode()
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    scheme = "http" if context is None else "https"
    receiver.url = f"{scheme}://127.0.0.1:{server.server_port}/api/v1/write"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
