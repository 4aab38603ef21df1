"""By which host names a server may be opened: against pages elsewhere that point theirs here."""

import ipaddress
from dataclasses import dataclass
from urllib.parse import urlsplit


@dataclass(frozen=True, slots=True)
class KnownHosts:
    """hosts     names by which browsers may come; empty: any, or on loopback those of loopback
    loopback     whether only this machine can connect
    """

    hosts: frozenset[str]
    loopback: bool

    def knows(self, host: str | None) -> bool:
        """`host` is the header: a name or address, and maybe a port."""
        name = _host_name(host or "")
        if name is None:
            return False
        if not self.hosts and not self.loopback:
            return True
        return name in self.hosts or _is_loopback_name(name)


def _host_name(host: str) -> str | None:
    """Without its port, in lower case; None: it is no host."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is none
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
