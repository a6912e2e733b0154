"""Tells people, through the store and ``carrier status``, of mail servers that cannot be used."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Sequence

from actors.email.server import KIND, Server
from carrier.store import faults
from carrier.store.errors import StoreUnavailable

logger = logging.getLogger(__name__)

#: Seconds between two notes of one server.
_PAUSE = 30.0

_lock = threading.Lock()
_only: tuple[str, ...] = ()
#: When a server was last written down, by the monotonic clock in s; None once that was taken back.
_noted: dict[Server, float | None] = {}


def only(servers: Sequence[Server]) -> None:
    """These are used: what was noted of others, which the settings do not name any more, is taken back. It is looked
    at once in each process."""
    global _only
    with _lock:
        if _only == (names := tuple(map(str, servers))):
            return
        _only = names
    try:
        faults.clear_others(KIND, names)
    except StoreUnavailable as error:
        logger.warning("of mail servers that are not used any more something may be noted: %s", error)


def trouble(server: Server, text: str) -> None:
    """It cannot be used, because of ``text``."""
    with _lock:
        last = _noted.get(server)
        if last is not None and time.monotonic() - last < _PAUSE:
            return
        _noted[server] = time.monotonic()
    logger.warning("%s cannot be used: %s", server, text)
    try:
        faults.note(str(server), text)
    except StoreUnavailable as error:
        logger.warning("that %s cannot be used is not written down: %s", server, error)


def well(server: Server) -> None:
    """It has taken, or refused, an e-mail."""
    if server in _noted and _noted[server] is None:
        return
    with _lock:
        _noted[server] = None
    try:
        faults.clear(str(server))
    except StoreUnavailable as error:
        logger.warning("that %s can be used again is not written down: %s", server, error)
