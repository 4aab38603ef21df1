"""A client's network, and which proxies are believed about it."""

import pytest

from devtelemetry.runtime.network import client_address, network_of, peer_address


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.77", "192.0.2.0/24"),
        ("::ffff:192.0.2.77", "192.0.2.0/24"),
        ("2001:db8:1:2::3", "2001:db8:1::/48"),
        ("fe80::1%eth0", "fe80::/48"),
        ("", ""),
        ("unix", ""),
    ],
)
def test_the_network_is_the_24_or_the_48(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50123", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50123", "2001:db8::1"),
        ("ipv6:[::1]:50123", "::1"),
        ("unix:", ""),
    ],
)
def test_a_peer_of_grpc_is_an_address(peer: str, address: str) -> None:
    assert peer_address(peer) == address


@pytest.mark.parametrize(
    ("peer", "forwarded_for", "address"),
    [
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),  # it is not a named proxy
        ("192.0.2.1", "203.0.113.9", "203.0.113.9"),
        # The client's own entry is before those that proxies add.
        ("192.0.2.1", "198.51.100.1, 203.0.113.9, 192.0.2.2", "203.0.113.9"),
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", " , ", "192.0.2.1"),
    ],
)
def test_only_a_trusted_proxy_is_believed_whom_it_speaks_for(
    peer: str, forwarded_for: str | None, address: str
) -> None:
    assert client_address(peer, forwarded_for, ("192.0.2.1", "192.0.2.2")) == address
