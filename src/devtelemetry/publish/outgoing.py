"""HTTP requests to addresses in settings."""

import ssl
from urllib.parse import urlsplit

import httpx

from devtelemetry.model.errors import ConfigurationError
from devtelemetry.runtime.hosts import is_loopback

POSTING = (httpx.HTTPError, httpx.InvalidURL, TimeoutError, OSError)
"""What a request can raise if it does not get through"""


def place_of(url: str) -> str:
    """Scheme, host and port of a URL; the rest may contain a secret."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def client_for(
    url: str, *, setting: str, verify: ssl.SSLContext, seconds: float
) -> httpx.AsyncClient:
    """A client for requests to `url`, which the setting has.

    Raises ConfigurationError if a proxy of the environment cannot be used.
    """
    try:
        # Requests to this machine use no proxy, which may be on another one.
        return httpx.AsyncClient(
            verify=verify,
            timeout=seconds,
            trust_env=not is_loopback(str(urlsplit(url).hostname)),
        )
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        # Not with the text of the error, which may contain a proxy's login.
        raise ConfigurationError(
            f"{setting}: HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY cannot be used; allowed: "
            "http://HOST:PORT, and in NO_PROXY host names and addresses, IPv6 addresses without "
            "brackets"
        ) from error
