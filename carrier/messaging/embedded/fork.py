"""What becomes of an open file when its process forks.

SQLite keeps word of its locks for the whole process. A child inherits that word, but not the locks
(sqlite.org/howtocorrupt.html, section 2.6). If it opened the file beside what it has inherited it would take no lock:
whoever closes the file then believes to be the last and removes the WAL, with all that the child writes; and what a
thread of the parent was just writing would be locked for the child for ever. So nobody uses the file while its process
forks, and a child closes what it has inherited before it opens the file for itself.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Iterable
from typing import TYPE_CHECKING

from carrier.messaging.errors import BrokerUnavailable

if TYPE_CHECKING:
    from carrier.messaging.embedded.database import Database

#: Seconds that a fork waits for what is under way.
_PATIENCE = 10.0

#: Held while a file is being opened or closed.
opening = threading.RLock()
_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_inherited: list[Database] = []
#: By thread, what it has taken, or was about to take when it was interrupted: an RLock knows which.
_held: dict[int, list[threading.RLock]] = {}


def know(database: Database) -> None:
    """From here on a fork waits for it."""
    _databases.add(database)


def forget(database: Database) -> None:
    """It is closed."""
    _databases.discard(database)


def let_go(database: Database) -> None:
    """Close what this process has inherited, because ``database`` is about to be opened.

    Raises:
        BrokerUnavailable: it was in use when this process was forked.
    """
    for each in tuple(_inherited):
        if each.is_quiet:
            each.forsake()
            _inherited.remove(each)
        elif each.is_same(database.path):
            raise BrokerUnavailable(
                f"{database.path}: was in use when this process was forked; use multiprocessing's spawn or forkserver"
            )


def _before() -> None:
    until = time.monotonic() + _PATIENCE
    held = _held[threading.get_ident()] = []
    is_quiet = _hold([opening], held, until)
    for each in tuple(_databases):
        is_idle = is_quiet and _hold(each.locks(), held, until)
        each.is_quiet = is_idle and not (each.sending.in_transaction or each.taking.in_transaction)


def _hold(locks: Iterable[threading.RLock], held: list[threading.RLock], until: float) -> bool:
    for lock in locks:
        if is_ours(lock):
            return False  # it is our own thread that uses it: a signal's handler forks
        held.append(lock)
        if not lock.acquire(timeout=max(0.0, until - time.monotonic())):
            return False
    return True


def _after_in_parent() -> None:
    for each in tuple(_databases):
        each.is_quiet = False
    for lock in _held.pop(threading.get_ident(), ()):
        if is_ours(lock):
            lock.release()


def is_ours(lock: threading.RLock) -> bool:
    """Whether this thread holds it."""
    ours: bool = lock._is_owned()  # type: ignore[attr-defined]  # what threading.Condition asks, too
    return ours


def _after_in_child() -> None:
    global opening
    opening = threading.RLock()
    _inherited.extend(_databases)
    _databases.clear()
    _held.clear()


os.register_at_fork(before=_before, after_in_parent=_after_in_parent, after_in_child=_after_in_child)
