"""TCP ports on loopback for servers that are about to start."""

import secrets
import socket
from collections.abc import Sequence

GRPC_OFFSET = 10_000
"""SeaweedFS listens for gRPC this far above each of its ports."""
_RANGE = range(10_000, 20_000)
"""The kernel gives neither these ports nor the ports for gRPC to outgoing connections (32768 and up), so a port stays free."""


def choose_ports(count: int, preferred: Sequence[int] = ()) -> list[int]:
    """The preferred ports if they are still free, otherwise random ones."""
    if len(preferred) == count and all(map(_is_free, preferred)):
        return [*preferred]
    free: set[int] = set()
    while len(free) < count:
        port = secrets.choice(_RANGE)
        if _is_free(port):
            free.add(port)
    return [*free]


def _is_free(port: int) -> bool:
    return all(map(can_bind, (port, port + GRPC_OFFSET)))


def can_bind(port: int) -> bool:
    """Whether nothing listens there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # lingering connections do not count
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True
