"""Host names: which of them only this machine can reach, by which names clients may reach a server,
and from which pages requests may come.

Names are checked because a foreign page could point its own name to this server.
"""

import ipaddress
import socket
from collections.abc import Collection
from dataclasses import dataclass
from typing import NamedTuple
from urllib.parse import urlsplit


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to `host`, because all its addresses are loopback.

    False for a host that does not resolve; listening there will fail anyway. This may ask DNS,
    which takes seconds. So call it at the start, and never on an event loop that serves.
    """
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return all(_is_loopback_address(str(address[0])) for *_, address in found)


def _is_loopback_address(address: str) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback


class Refusal(NamedTuple):
    """Why a request may not come in: the HTTP status, and a line for the sender."""

    status: int
    text: str


_HOST_NOT_KNOWN = Refusal(
    421,
    "this host name is not allowed here; allowed: loopback names and those in the "
    "setting `http_hosts`",
)
_ELSEWHERE = Refusal(
    403,
    "pages of this origin may not send samples here; allowed: the origins in the setting "
    "`cors_origins`",
)


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """hosts     the names by which clients may reach this server, beside those of loopback; if
                 empty, all names, unless `loopback`
    loopback     whether only this machine can connect
    """

    hosts: frozenset[str]
    loopback: bool

    def refusal(
        self, host: str | None, origin: str | None, *, origins: Collection[str] = ()
    ) -> Refusal | None:
        """Why a request may not come in; None if it may.

        host     the header Host: a name or address, perhaps with a port
        origin   the header Origin, which names the page that sends; None if the sender is not a
                 browser, or if the page does not matter
        origins  the origins of pages that may send, beside those of this host
        """
        if not self._knows(host):
            return _HOST_NOT_KNOWN
        if origin is None or origin in origins or _is_same_host(origin, host):
            return None
        return _ELSEWHERE

    def _knows(self, host: str | None) -> bool:
        name = _host_name(host or "")
        if name is None:
            return False
        if not self.hosts and not self.loopback:
            return True
        return name in self.hosts or _is_loopback_name(name)


def _is_same_host(origin: str, host: str | None) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and parts.netloc.lower() == (host or "").lower()


def _host_name(host: str) -> str | None:
    """The name without its port, in lower case; None if `host` is not valid."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises if it is not a port
    except ValueError:
        return None
    if parts.netloc != host or "@" in host:
        return None
    return (parts.hostname or "").rstrip(".") or None


def _is_loopback_name(name: str) -> bool:
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False
