"""A webhook on loopback that answers as a test decides, and keeps what came."""

import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SEEN_SECONDS = 60.0


@dataclass
class Hook:
    """answer  a function from a document to the status of the response"""

    answer: Callable[[dict[str, Any]], int] = lambda _: 204
    came: list[dict[str, Any]] = field(default_factory=list)
    url: str = ""
    _more: threading.Condition = field(default_factory=threading.Condition)

    def take(self, body: bytes) -> int:
        document = json.loads(body)
        with self._more:
            self.came.append(document)
            self._more.notify_all()
        return self.answer(document)

    def wait_for(self, number: int) -> None:
        """Waits until so many documents came."""
        with self._more:
            assert self._more.wait_for(lambda: len(self.came) >= number, SEEN_SECONDS), self.came


@contextlib.contextmanager
def hooked(answer: Callable[[dict[str, Any]], int] = lambda _: 204) -> Iterator[Hook]:
    """Serves a Hook until the block is left."""
    hook = Hook(answer)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            status = hook.take(self.rfile.read(int(self.headers["Content-Length"])))
            with contextlib.suppress(OSError):  # the client is gone
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook.url = f"http://127.0.0.1:{server.server_port}/hook/s3cret?key=s3cret"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
