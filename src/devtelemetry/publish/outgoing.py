"""Requests to places that settings name."""

import ssl
from urllib.parse import urlsplit

import httpx

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.runtime.hosts import is_loopback

POSTING = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError)
"""What may be raised by a request that does not get through"""


def place_of(url: str) -> str:
    """Scheme, host and port: the rest may hold a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def client_for(
    url: str, *, setting: str, verify: ssl.SSLContext, seconds: float
) -> httpx.AsyncClient:
    """For requests to `url`, which the setting names.

    Raises ConfigurationError if a proxy of the environment cannot be used.
    """
    try:
        # What goes to this machine goes by no proxy, which may stand elsewhere.
        return httpx.AsyncClient(
            verify=verify,
            timeout=seconds,
            trust_env=not is_loopback(str(urlsplit(url).hostname)),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        # What it says of a proxy may hold a login.
        raise ConfigurationError(
            f"{setting}: a proxy that HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY "
            "names cannot be used; allowed: http://HOST:PORT, and in NO_PROXY host names and "
            "addresses, IPv6 ones without brackets"
        ) from error
