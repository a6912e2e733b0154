"""Free ports on loopback that stay ours until the server has them."""

from __future__ import annotations

import random
import socket

HOST = "127.0.0.1"

#: Sockets by whose names this process has reserved ports: a server takes seconds until it binds its own, and others of
#: the same run look for theirs meanwhile. The kernel frees a name of the abstract namespace with its process (unix(7)).
_reserved: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that nobody else gets from here while this process lives.

    It is below Linux's ephemeral range, 32768 up: no client's connection takes it before the server does.
    """
    for candidate in random.sample(range(20_000, 32_000), 200):
        with socket.socket() as tried:
            try:
                tried.bind((HOST, candidate))
            except OSError:
                continue
        name = socket.socket(socket.AF_UNIX)
        try:
            name.bind(f"\0carrier-test-port-{candidate}")
        except OSError:
            name.close()
            continue
        _reserved.append(name)
        return candidate
    raise OSError("no free port")


def answers(port: int) -> bool:
    """Does anybody listen?"""
    try:
        socket.create_connection((HOST, port), timeout=1).close()
    except OSError:
        return False
    return True
