"""Reads a server's figures over HTTP."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from devtelemetry.model.errors import DevTelemetryError
from devtelemetry.runtime.hosts import is_loopback

TIMEOUT_SECONDS = 30.0


class NoFigures(DevTelemetryError):
    """The server did not give its figures; the text says why."""


def check_address(url: str) -> None:
    """Raises NoFigures if the address cannot be a server's."""
    if not url.startswith(("http://", "https://")):
        raise NoFigures(f"{url} is not the address of a server; allowed: http://HOST:PORT")


def trust(tls_ca: Path | None) -> ssl.SSLContext | None:
    """Trusts the authorities in the file. None: the system's. Raises NoFigures if it has none."""
    if tls_ca is None:
        return None
    try:
        return ssl.create_default_context(cafile=tls_ca)
    except OSError as error:
        why = "not PEM" if isinstance(error, ssl.SSLError) else error.strerror
        raise NoFigures(
            f"{tls_ca}: {why}; allowed: a PEM file with authorities to trust"
        ) from error


def fetch_report(
    url: str,
    timeframe: str | None,
    start: str,
    end: str,
    token: str | None = None,
    channel: str | None = None,
    tls_ca: Path | None = None,
    *,
    channels: bool = True,
) -> dict[str, Any]:
    """The document of `GET /api/v1/reliability` for the windows in [start, end).

    url        of the server, as in http://127.0.0.1:8080
    timeframe  None: the shortest that the server computes; the document says which
    token      with the scope `read`, if the server asks for one
    channel    only the figures of this channel; None: of all channels
    tls_ca     PEM with the authorities to trust; None: the system's
    channels   whether the windows come with their channels

    Raises NoFigures.
    """
    asked = {"timeframe": timeframe, "from": start, "to": end, "channel": channel}
    if not channels:
        asked["channels"] = "false"
    check_address(url)
    context = trust(tls_ca)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if is_loopback(urllib.parse.urlsplit(url).hostname or ""):
        # A proxy that the environment names could not reach this machine.
        handlers.append(urllib.request.ProxyHandler({}))
    opener = urllib.request.build_opener(*handlers)
    document = _page(opener, url, asked, headers)
    while document.get("next"):
        page = _page(opener, url, {**asked, "from": document["next"]}, headers)
        document = {**page, "windows": document["windows"] + page["windows"]}
    return document


def _page(
    opener: urllib.request.OpenerDirector,
    url: str,
    asked: Mapping[str, str | None],
    headers: dict[str, str],
) -> dict[str, Any]:
    query = urllib.parse.urlencode({k: text for k, text in asked.items() if text is not None})
    address = f"{url.rstrip('/')}/api/v1/reliability?{query}"
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - checked above
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as response:
            document: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise NoFigures(f"{url} answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise NoFigures(f"{url} gives no figures: {error}") from error
    return document
