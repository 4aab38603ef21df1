"""The network of an address, which many invented installations have in common."""

import ipaddress
from collections.abc import Collection
from functools import lru_cache

_PREFIXES = {4: 24, 6: 48}


@lru_cache(4_096)
def network_of(address: str) -> str:
    """The /24 of an IPv4 address or the /48 of an IPv6 address; empty if it is not an address."""
    ip = _parsed(address)
    if ip is None:
        return ""
    return str(ipaddress.ip_network((ip, _PREFIXES[ip.version]), strict=False))


def client_address(peer: str, forwarded_for: str | None, proxies: Collection[str]) -> str:
    """The client's address: that of the peer or, if the peer is a trusted proxy, the one it names.

    forwarded_for  the header X-Forwarded-For; each proxy adds its peer at the end
    proxies        addresses of trusted proxies
    """
    if peer not in proxies:
        return peer
    for hop in reversed((forwarded_for or "").split(",")):
        address = hop.strip()
        if address and address not in proxies:
            return address
    return peer


def peer_address(peer: str) -> str:
    """The address in gRPC's name of a peer, as in `ipv6:%5B2001:db8::1%5D:50123`."""
    _, _, rest = peer.partition(":")
    address, _, _ = rest.rpartition(":")
    return address.replace("%5B", "").replace("%5D", "").strip("[]")


def _parsed(address: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return None
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return mapped or ip
