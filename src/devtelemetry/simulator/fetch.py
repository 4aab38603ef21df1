"""A server's figures over HTTP."""

import json
import ssl
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

from devtelemetry.model.errors import DevTelemetryError

TIMEOUT_SECONDS = 30.0


class NoFigures(DevTelemetryError):
    """The server did not give its figures; the text says why."""


def fetch_report(
    url: str,
    timeframe: str | None,
    start: str,
    end: str,
    token: str | None = None,
    channel: str | None = None,
    tls_ca: Path | None = None,
) -> dict[str, Any]:
    """The document of `GET /api/v1/reliability` for the windows in [start, end).

    url        of the server, as in http://127.0.0.1:8080
    timeframe  None: the shortest that it computes; the document says which
    token      with the scope `read`, if it asks for one
    channel    its figures alone; None: those of all
    tls_ca     PEM with the authorities to trust; None: the system's

    Raises NoFigures.
    """
    asked = {"timeframe": timeframe, "from": start, "to": end, "channel": channel}
    query = urllib.parse.urlencode({k: text for k, text in asked.items() if text is not None})
    address = f"{url.rstrip('/')}/api/v1/reliability?{query}"
    if not address.startswith(("http://", "https://")):
        raise NoFigures(f"{url} is no address of a server; allowed: http://HOST:PORT")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(address, headers=headers)  # noqa: S310 - checked above
    try:
        context = None if tls_ca is None else ssl.create_default_context(cafile=tls_ca)
        with urllib.request.urlopen(  # noqa: S310
            request, timeout=TIMEOUT_SECONDS, context=context
        ) as response:
            document: dict[str, Any] = json.load(response)
    except urllib.error.HTTPError as error:
        raise NoFigures(f"{url} answered {error.code} {error.reason}") from error
    except (OSError, ValueError) as error:
        raise NoFigures(f"{url} gives no figures: {error}") from error
    return document
