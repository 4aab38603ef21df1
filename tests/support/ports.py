"""Ports on loopback, for what must be told one or listens again where it did before."""

import secrets
import socket

# Below those that the kernel gives to whoever asks for any (ip_local_port_range).
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """One where nobody listens; the kernel gives it to nobody who does not name it."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
