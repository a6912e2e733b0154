"""The file of the embedded broker, as one process uses it.

SQLite's own waiting for a lock is unfair: under load a writer can starve for seconds. Writers take a file lock first,
which the kernel gives in turn, so that inside it nobody waits. One connection writes with ``synchronous=FULL`` for what
was promised to a sender; another with ``NORMAL`` for taking and settling, where a power cut means a second delivery.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import threading
import weakref
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from carrier.messaging.embedded import fork, schema
from carrier.messaging.embedded.reader import Reader
from carrier.messaging.embedded.watch import Watch
from carrier.messaging.errors import BrokerUnavailable

#: Seconds that SQLite waits for somebody who does not take the file lock, such as a backup.
BUSY_TIMEOUT = 30.0


#: Bytes of the disk, and the part of a small one, that are kept free for the work that is there already: taking a
#: message and settling it are writes too. RabbitMQ has disk_free_limit for it (https://www.rabbitmq.com/docs/disk-alarms).
_KEPT_FREE, _KEPT_FREE_PART = 16 * 2**20, 0.1


class DiskAlarm(Exception):
    """No more messages are taken, because the disk is nearly full."""


class Database:
    """The open file.

    Parameters:
        patience: seconds that SQLite waits at most for somebody who does not take the file lock.

    Attributes:
        is_quiet: when this process was forked nobody used it.

    Raises:
        BrokerUnavailable: it cannot be opened or made, or is of another version; the text says what to do.
    """

    is_quiet = False

    def __init__(self, path: Path, patience: float | None = None) -> None:
        self.path = path
        self._patience = BUSY_TIMEOUT if patience is None else min(patience, BUSY_TIMEOUT)
        self._lock = threading.RLock()
        self._connecting = threading.RLock()
        self._readers: weakref.WeakSet[Reader] = weakref.WeakSet()
        self._watch: Watch | None = None
        with fork.opening:
            fork.let_go(self)
            self._open_file()
            fork.know(self)

    def _open_file(self) -> None:
        path = self.path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            # Beside the file, because SQLite's own locks on it would end with any descriptor of it that is closed.
            self._file_lock = os.open(f"{path}.lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
            os.close(os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600))  # payloads are for its owner alone
        except OSError as error:
            raise BrokerUnavailable(f"{path}: cannot be used: {error.strerror}; look at CARRIER_HOME") from None
        try:
            with self.exclusive():  # SQLite does not wait when two of them turn a new file into one with a WAL
                self.sending = self._connect("FULL")
                self._prepare()
                self.taking = self._connect("NORMAL")
            self._identity = _identity(path)
        except (sqlite3.Error, OSError, BrokerUnavailable) as error:
            os.close(self._file_lock)
            if isinstance(error, BrokerUnavailable):
                raise
            raise BrokerUnavailable(f"{path}: cannot be used: {error}; look at CARRIER_HOME") from None

    def is_replaced(self) -> bool:
        """Whether the path leads to another file by now, or to none: what is written here nobody reads."""
        return not self.is_same(self.path)

    def is_same(self, path: Path) -> bool:
        """Whether ``path`` leads to this file."""
        try:
            return _identity(path) == self._identity
        except OSError:  # whoever opens it says what is wrong
            return False

    def _connect(self, synchronous: str) -> sqlite3.Connection:
        connection = self._open("rwc")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(f"PRAGMA synchronous = {synchronous}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def reader(self) -> Reader:
        """A connection that only reads; it belongs to whoever asked for it.

        Raises:
            sqlite3.Error: the file is gone.
        """
        with self._connecting:
            reader = Reader(self._open("ro"))
            self._readers.add(reader)
        return reader

    def locks(self) -> Iterator[threading.RLock]:
        """Who has them all knows that nobody uses the file."""
        yield self._lock
        yield self._connecting
        yield from (each.turn for each in tuple(self._readers))

    def _open(self, mode: str) -> sqlite3.Connection:
        # As a URI, so that any character may stand in a path (sqlite.org/uri.html).
        return sqlite3.connect(
            f"file:{quote(str(self.path))}?mode={mode}",
            uri=True,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )

    def _prepare(self) -> None:
        version = self.sending.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self.sending.executescript(f"BEGIN IMMEDIATE; {schema.CREATE} COMMIT;")
        elif version < schema.VERSION:
            steps = "".join(schema.UPGRADES[step] for step in range(version, schema.VERSION))
            self.sending.executescript(f"BEGIN IMMEDIATE; {steps} COMMIT;")
        elif version != schema.VERSION:
            self.sending.close()
            raise BrokerUnavailable(
                f"{self.path}: it has version {version}, not {schema.VERSION}: use the Carrier that made it"
            )

    @contextlib.contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold the file's write lock, against threads of this process and against other processes.

        A handler's time limit interrupts its thread after any call, so that a call that is to be undone is made inside
        of ``try``: otherwise the lock, or the transaction, would be held for ever.

        Raises:
            RuntimeError: this very thread holds it: a signal's handler has come in between.
        """
        if fork.is_ours(self._lock):
            raise RuntimeError("a signal's handler cannot send, or take, while its own thread is just doing that")
        with self._lock:
            try:
                fcntl.flock(self._file_lock, fcntl.LOCK_EX)
                yield
            finally:
                fcntl.flock(self._file_lock, fcntl.LOCK_UN)

    @contextlib.contextmanager
    def transaction(self, connection: sqlite3.Connection, *, tells: bool = True) -> Iterator[sqlite3.Connection]:
        """All or nothing, on ``sending`` or ``taking``.

        Parameters:
            tells: there may be something for a consumer after it.

        Raises:
            sqlite3.Error: nothing was written.
        """
        with self.exclusive():
            if connection.in_transaction:  # somebody was interrupted a second time, while rolling back
                connection.execute("ROLLBACK")
            try:
                connection.execute("BEGIN IMMEDIATE")
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                if connection.in_transaction:
                    connection.execute("ROLLBACK")
                raise
        if tells:
            with contextlib.suppress(OSError):  # it is committed; who is not told looks within a second
                os.utime(self._file_lock)

    def watch(self) -> Watch:
        """What wakes the consumers of this process.

        Raises:
            OSError: there is no such thing here.
        """
        with self._lock:
            if self._watch is None:
                self._watch = Watch(Path(f"{self.path}.lock"))
            return self._watch

    def check_room(self) -> None:
        """Whether more messages can be stored; to be asked by a transaction on ``sending``.

        Raises:
            DiskAlarm: the disk is nearly full, and so is the file. What is worked off makes room in the file.
        """
        disk = os.fstatvfs(self._file_lock)
        kept = min(_KEPT_FREE, int(disk.f_blocks * disk.f_frsize * _KEPT_FREE_PART))
        free = disk.f_bavail * disk.f_frsize
        if free >= kept:
            return
        (pages,), (size,) = (
            self.sending.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_size")
        )
        if free + pages * size < kept:
            raise DiskAlarm(f"the disk has {free / 2**20:.1f} MB left, and {kept / 2**20:.0f} are kept for what waits")

    def close(self) -> None:
        """Close everything."""
        with fork.opening, self._lock:
            self.sending.close()
            self.taking.close()
            if self._watch is not None:
                self._watch.end()
            os.close(self._file_lock)
            fork.forget(self)

    def forsake(self) -> None:
        """Close, in a child, what is its parent's."""
        for connection in (self.sending, self.taking, *(each.connection for each in tuple(self._readers))):
            connection.close()
        if self._watch is not None:
            self._watch.forsake()
        os.close(self._file_lock)


def _identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_dev, found.st_ino
