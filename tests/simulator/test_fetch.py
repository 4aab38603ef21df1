"""Figures are read from a server over HTTP, with and without TLS."""

import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import trustme

from devtelemetry.simulator.fetch import NoFigures, fetch_report


class Figures(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"timeframe": "1h", "windows": []}')

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def url(authority: trustme.CA) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Figures)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"https://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    url: str, authority: trustme.CA, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(named)
    with pytest.raises(NoFigures, match="certificate"):
        fetch_report(url, "1h", "a", "b")
    assert fetch_report(url, "1h", "a", "b", tls_ca=named)["windows"] == []
    for name in ("http_proxy", "https_proxy"):  # such proxies cannot reach this machine
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert fetch_report(url, "1h", "a", "b", tls_ca=named)["windows"] == []
    named.write_text("")
    with pytest.raises(NoFigures, match="allowed: a PEM file"):
        fetch_report(url, "1h", "a", "b", tls_ca=named)
    with pytest.raises(NoFigures, match="No such file"):
        fetch_report(url, "1h", "a", "b", tls_ca=tmp_path / "none.pem")
