"""Ports on loopback for programs that need a given port, or listen on the same port again."""

import secrets
import socket

# Below the range from which the kernel picks a port when a program leaves the choice to it
# (ip_local_port_range).
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A port on which nobody listens, and which the kernel gives to no program by itself."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
