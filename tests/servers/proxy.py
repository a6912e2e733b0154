"""A bad network on loopback: passes bytes between programs and a server, until it is told to do harm."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
import time
from dataclasses import dataclass
from typing import Literal

from tests.servers.ports import HOST

#: Towards the server, or towards the program.
Direction = Literal["up", "down"]
_PIECE = 65_536
#: setsockopt(2): closing then sends a reset, and drops what is still to be sent.
_RESET = struct.pack("ii", 1, 0)


@dataclass(frozen=True, eq=False)
class _Way:
    """One direction of one connection."""

    source: socket.socket
    target: socket.socket
    direction: Direction


class Proxy:
    """Listens on ``port`` and connects to ``target``, both on loopback.

    Attributes:
        delay: seconds that each piece takes longer.
    """

    def __init__(self, target: int) -> None:
        self._target = target
        self.delay = 0.0
        self._speaking = threading.Event()
        self._speaking.set()
        self._lock = threading.Lock()
        self._ways: list[_Way] = []
        self._torn: Direction | None = None
        self._listening = socket.create_server((HOST, 0), backlog=200)
        self.port: int = self._listening.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return  # closed
            try:
                server = socket.create_connection((HOST, self._target))
            except OSError:
                _reset(client)
                continue
            ways = [_Way(client, server, "up"), _Way(server, client, "down")]
            with self._lock:
                self._ways += ways
            for way in ways:
                threading.Thread(target=self._pass, args=(way,), daemon=True).start()

    def _pass(self, way: _Way) -> None:
        with contextlib.suppress(OSError):  # the connection is over
            while piece := way.source.recv(_PIECE):
                self._speaking.wait()
                time.sleep(self.delay)  # the harm itself
                if self._is_torn(way.direction):
                    way.target.sendall(piece[: len(piece) // 2])
                    _reset(way.source)
                    _reset(way.target)
                    break
                way.target.sendall(piece)
            way.target.shutdown(socket.SHUT_WR)
        with self._lock:
            self._ways.remove(way)
            over = not any(other.source is way.target for other in self._ways)
        if over:
            way.source.close()
            way.target.close()

    def _is_torn(self, direction: Direction) -> bool:
        with self._lock:
            if self._torn != direction:
                return False
            self._torn = None
            return True

    # The harm

    def drop(self) -> None:
        """Reset every connection."""
        with self._lock:
            for way in self._ways:
                _reset(way.source)

    def tear(self, direction: Direction) -> None:
        """Let half of the next piece pass in this direction, and reset its connection then."""
        with self._lock:
            self._torn = direction

    def half_close(self, direction: Direction) -> None:
        """Say in this direction of each connection that nothing more comes; the other one goes on."""
        with self._lock:
            for way in self._ways:
                if way.direction == direction:
                    with contextlib.suppress(OSError):  # it is over already
                        way.target.shutdown(socket.SHUT_WR)

    def silence(self) -> None:
        """Keep everything that comes, and all connections open."""
        self._speaking.clear()

    def speak(self) -> None:
        """Pass on what was kept, and what comes."""
        self._speaking.set()

    def close(self) -> None:
        """Accept nothing more, and end what there is."""
        self._listening.close()
        self.speak()
        self.drop()


def _reset(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is closed already
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Wakes whoever reads from it; closing alone would not.
        connection.shutdown(socket.SHUT_RD)
        connection.close()
