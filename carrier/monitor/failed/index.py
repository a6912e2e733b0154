"""An index of failed_queue, for whoever shows it for long: a file of SQLite that can be thrown away at any time.

It is filled by one walk and kept up to date by news. failed_queue stays the only truth: where the counts differ for
some seconds there is another walk, after which what it has not seen is gone.
"""

from __future__ import annotations

import logging
import re
import sqlite3
import tempfile
import threading
import time
import zlib
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.feed import Feed, News
from carrier.messaging.walk import Stored
from carrier.monitor.failed.looking import Group
from carrier.monitor.failed.message import FailedMessage
from carrier.monitor.failed.selection import Counted
from carrier.monitor.masking import masking

logger = logging.getLogger(__name__)

#: ``n`` counts up as they come. ``copies``: how often the last walk has found it. ``walk``: the last one that was begun
#: when it was found.
_CREATE = """
CREATE TABLE failed (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL UNIQUE,
    identity BLOB NOT NULL,
    id TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    type TEXT NOT NULL,
    queue TEXT NOT NULL,
    error TEXT NOT NULL,
    message TEXT NOT NULL,
    place TEXT NOT NULL,
    attempts INTEGER NOT NULL,
    first_at TEXT NOT NULL,
    failed_at TEXT NOT NULL,
    copies INTEGER NOT NULL,
    walk INTEGER NOT NULL
);
CREATE TABLE bodies (key BLOB PRIMARY KEY, body BLOB NOT NULL, failure TEXT) WITHOUT ROWID;
CREATE TRIGGER gone AFTER DELETE ON failed BEGIN DELETE FROM bodies WHERE key = OLD.key; END;
CREATE INDEX grouped ON failed (fingerprint, failed_at, n, first_at, copies);
CREATE INDEX by_time ON failed (failed_at, n, copies);
"""
_NEW = """
INTO failed (key, identity, id, fingerprint, type, queue, error, message, place, attempts, first_at, failed_at,
copies, walk) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 1, ?)
"""
_BODY = "INSERT OR IGNORE INTO bodies VALUES (?, ?, ?)"
_FOUND = f"""
INSERT {_NEW}
ON CONFLICT (key) DO UPDATE SET copies = CASE walk WHEN excluded.walk THEN copies + 1 ELSE 1 END, walk = excluded.walk
"""
_TOLD = f"INSERT OR IGNORE {_NEW}"
_GONE = "DELETE FROM failed WHERE key = ? AND copies <= 1"
_ONE_GONE = "UPDATE failed SET copies = copies - 1 WHERE key = ?"
_GROUPS = """
SELECT fingerprint, sum(copies), min(first_at), max(failed_at) FROM failed GROUP BY fingerprint ORDER BY 2 DESC, 1
"""
#: Only what is asked for stands in a question: the indexes then answer it without a look at the messages themselves.
_HAS_TEXT = """
(id LIKE :text ESCAPE '!' OR type LIKE :text ESCAPE '!' OR queue LIKE :text ESCAPE '!'
OR error LIKE :text ESCAPE '!' OR message LIKE :text ESCAPE '!')
"""
_ENTRIES = "SELECT n, key, id, fingerprint, type, queue, error, message, place, attempts, failed_at, copies FROM failed"
_IN_ORDER = "ORDER BY failed_at DESC, n DESC LIMIT :limit OFFSET :offset"
_IDENTITIES = "SELECT identity, copies FROM failed"
_NUMBER = "SELECT ifnull(sum(copies), 0), ifnull(max(n), 0) FROM failed"
_NEWEST = "SELECT type, error, message, place FROM failed WHERE fingerprint = ? ORDER BY failed_at DESC LIMIT 1"

#: Seconds: for which news are waited for, between two counts, and before another try after an outage.
_WAIT, _COUNTING, _PAUSE = 0.5, 2.0, 2.0
#: Seconds that closing waits for the thread.
_ENDING = 2.0
#: Counts in a row that differ, after which there is another walk: while nothing is heard, and while news come, which
#: under load are seconds behind what they tell of.
_DIFFERING, _DIFFERING_BUSY = 3, 30
#: Messages of a walk that are written together.
_CHUNK = 2_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a page is to show: all that is given must hold.

    Attributes:
        text: stands in the id, type, queue, error or message, in any case of its (ASCII) letters.
        last: the last one that was counted (:attr:`Entry.n`); what came later is not meant.
    """

    fingerprint: str = ""
    text: str = ""
    last: int | None = None

    def where(self) -> str:
        """The condition of a question."""
        conditions = []
        if self.fingerprint:
            conditions.append("fingerprint = :group")
        if self.last is not None:
            conditions.append("n <= :last")
        if self.text:
            conditions.append(_HAS_TEXT)
        return f"WHERE {' AND '.join(conditions)}" if conditions else ""

    def values(self) -> dict[str, object]:
        """What is bound in it."""
        text = "%" + re.sub("([%_!])", r"!\1", self.text) + "%" if self.text else ""
        return {"group": self.fingerprint, "last": self.last, "text": text}


@dataclass(frozen=True, slots=True)
class Entry:
    """One message as a list shows it.

    Attributes:
        n: counts up as they come.
        key: what it is known by here.
        copies: how often it lies in failed_queue.
    """

    n: int
    key: str
    id: str
    fingerprint: str
    type: str
    queue: str
    error: str
    message: str
    place: str
    attempts: int
    failed_at: str
    copies: int


class Index:
    """Filled and kept up to date by a thread of its own, until it is closed.

    Attributes:
        is_whole: whether it has seen all of failed_queue.
        trouble: why it is not up to date; None while it is.
        walks: how many there were.
    """

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._folder = tempfile.TemporaryDirectory(prefix="carrier-index-")  # for its owner alone (0700)
        self._path = Path(self._folder.name) / "failed.db"
        self._writer = self._open()
        self._writer.execute("PRAGMA journal_mode = WAL")
        self._writer.execute("PRAGMA synchronous = OFF")  # nothing in it is worth a disk's time
        self._writer.executescript(_CREATE)
        self._closing = threading.Event()
        self.is_whole = False
        self.trouble: str | None = None
        self.walks = 0
        self._thread = threading.Thread(target=self._run, name="carrier-index", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End the thread and remove the file."""
        self._closing.set()
        self._thread.join(_ENDING)  # it may be waiting for its turn to go through the queue, and is a daemon
        if not self._thread.is_alive():
            self._writer.close()
        self._folder.cleanup()

    # Looking, from any thread

    def count(self) -> int:
        """How many messages it has."""
        with closing(self._open()) as reader:
            number: int = reader.execute("SELECT ifnull(sum(copies), 0) FROM failed").fetchone()[0]
        return number

    def groups(self) -> list[Group]:
        """What has failed for one cause each, the most frequent first."""
        found = []
        with closing(self._open()) as reader:
            reader.execute("BEGIN")
            for fingerprint, count, first_at, last_at in reader.execute(_GROUPS).fetchall():
                type_, error, message, place = reader.execute(_NEWEST, (fingerprint,)).fetchone()
                found.append(Group(fingerprint, type_, error, message, place, count, first_at, last_at))
        return found

    def entries(self, wanted: Wanted, *, offset: int = 0, limit: int = 50) -> list[Entry]:
        """Those that are wanted, the newest first."""
        with closing(self._open()) as reader:
            values = {**wanted.values(), "limit": limit, "offset": offset}
            rows = reader.execute(f"{_ENTRIES} {wanted.where()} {_IN_ORDER}", values).fetchall()
        return [Entry(row[0], row[1].hex(), *row[2:]) for row in rows]

    def counted(self, wanted: Wanted) -> Counted:
        """Exactly those that are wanted and here now."""
        counted = Counted()
        with closing(self._open()) as reader:
            for identity, copies in reader.execute(f"{_IDENTITIES} {wanted.where()}", wanted.values()):
                for _ in range(copies):
                    counted.add_identity(identity)
        return counted

    def number(self, wanted: Wanted) -> tuple[int, int]:
        """How many are wanted, and :attr:`Entry.n` of the last one that has come of them."""
        with closing(self._open()) as reader:
            found: tuple[int, int] = reader.execute(f"{_NUMBER} {wanted.where()}", wanted.values()).fetchone()
        return found

    def last(self) -> int:
        """:attr:`Entry.n` of the last one that has come; 0 where there is none."""
        with closing(self._open()) as reader:
            found: int = reader.execute("SELECT ifnull(max(n), 0) FROM failed").fetchone()[0]
        return found

    def one(self, key: str) -> FailedMessage | None:
        """A whole message; None where it is not there, or there any more."""
        with closing(self._open()) as reader:
            row = reader.execute("SELECT body, failure FROM bodies WHERE key = ?", (_bytes(key),)).fetchone()
        return None if row is None else FailedMessage(Stored(zlib.decompress(row[0]), row[1], None), self._broker)

    def forget(self, key: str) -> None:
        """Somebody has just dealt with it, and need not wait for the news of that."""
        with closing(self._open()) as writer:
            writer.execute(_GONE, (_bytes(key),))

    def _open(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, isolation_level=None, check_same_thread=False, timeout=30)

    # Its thread

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with closing(self._broker.feed()) as feed:
                    self._follow(feed)
            except (CarrierError, sqlite3.Error) as error:
                if self._closing.is_set():
                    return
                if self._writer.in_transaction:
                    self._writer.execute("ROLLBACK")
                if self.trouble is None:
                    logger.warning("failed messages are not shown as they come: %s", error)
                self.trouble = str(error)
                self._closing.wait(_PAUSE)

    def _follow(self, feed: Feed) -> None:
        if feed.tells_all:
            self._writer.execute("DELETE FROM failed")
        else:
            self._walk(feed)
        counted, differing, heard = time.monotonic(), 0, 0
        while not self._closing.is_set():
            news = feed.news(_WAIT)
            self._apply(news)
            heard += len(news)
            if not news:
                self.is_whole, self.trouble = True, None
            if time.monotonic() - counted < _COUNTING or feed.tells_all:
                continue
            counted = time.monotonic()
            number = feed.count()
            if number is not None:
                # While much comes and goes the two are never counted at the same moment.
                differing = 0 if abs(number - self.count()) <= heard else differing + 1
            if differing >= (_DIFFERING_BUSY if heard else _DIFFERING):
                self._walk(feed)
                differing = 0
            heard = 0

    def _walk(self, feed: Feed) -> None:
        self.walks += 1
        news: list[News] = []
        with self._broker.walk(FAILED_QUEUE) as walking:
            chunk: list[tuple[bytes, Stored]] = []
            for stored in walking:
                chunk.append((feed.key(stored), stored))
                if len(chunk) == _CHUNK:
                    self._write(_FOUND, chunk)
                    chunk.clear()
                    news += feed.news(0)  # which answers its server's heartbeats, too
                    if self._closing.is_set():
                        return
            self._write(_FOUND, chunk)
        self._writer.execute("DELETE FROM failed WHERE walk < ?", (self.walks,))
        self._apply(news)
        self.is_whole, self.trouble = True, None

    def _apply(self, news: list[News]) -> None:
        """What has come and gone, in its order: one message may do both."""
        come: list[tuple[bytes, Stored]] = []
        for each in news:
            if each.stored is not None:
                come.append((each.key, each.stored))
                continue
            self._write(_TOLD, come)
            come.clear()
            if not self._writer.execute(_GONE, (each.key,)).rowcount:
                self._writer.execute(_ONE_GONE, (each.key,))
        self._write(_TOLD, come)

    def _write(self, statement: str, messages: Iterable[tuple[bytes, Stored]]) -> None:
        messages = list(messages)
        if messages:
            self._writer.execute("BEGIN")
            self._writer.executemany(statement, [self._row(key, stored) for key, stored in messages])
            bodies = [(key, zlib.compress(stored.body, 1), stored.failure) for key, stored in messages]
            self._writer.executemany(_BODY, bodies)
            self._writer.execute("COMMIT")

    def _row(self, key: bytes, stored: Stored) -> tuple[object, ...]:
        failed = FailedMessage(stored, self._broker)
        message = masking().mask_error(failed.message)  # what is masked cannot be found by guessing, either
        texts = (failed.id, failed.fingerprint, failed.type, failed.queue, failed.error, message, failed.place)
        return (
            *(key, stored.identity, *map(_storable, texts), failed.attempts),
            *(_storable(failed.first_at), _storable(failed.failed_at), self.walks),
        )


def _storable(text: str) -> str:
    """SQLite's text is UTF-8, which half a surrogate pair is not."""
    return text.encode("utf-8", "replace").decode()


def _bytes(key: str) -> bytes:
    try:
        return bytes.fromhex(key)
    except ValueError:
        return b""
