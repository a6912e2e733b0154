"""The table of the embedded broker. A file of another version is refused, not guessed at."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import chain

from carrier.messaging.envelope import now_ms
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing

#: ``PRAGMA user_version`` of the file.
VERSION = 3

_ONCE = """
CREATE TABLE once (id TEXT PRIMARY KEY, since INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX once_since ON once (since);
PRAGMA user_version = 3;
"""

#: ``due`` is Unix time in ms while a message is delayed, 0 once it is ready. ``owner`` is 0, or the process that has
#: leased it. ``failure`` is the JSON beside bytes that never reached a handler, ``died`` that of the handler that was
#: running when its process ended. ``once`` has the ids of messages that must not be stored again, and since when.
CREATE = f"""
CREATE TABLE messages (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    queue TEXT NOT NULL,
    priority INTEGER NOT NULL,
    due INTEGER NOT NULL,
    owner INTEGER NOT NULL DEFAULT 0,
    body BLOB NOT NULL,
    failure TEXT,
    died TEXT
);
CREATE INDEX ready ON messages (queue, priority DESC, seq) WHERE owner = 0 AND due = 0;
CREATE INDEX delayed ON messages (due) WHERE due > 0;
CREATE INDEX leased ON messages (owner) WHERE owner > 0;
{_ONCE}
"""

#: From a file of each older version to the next one.
UPGRADES = {1: "ALTER TABLE messages ADD COLUMN died TEXT; PRAGMA user_version = 2;", 2: _ONCE}

NOTE = "INSERT INTO once (id, since) VALUES (?, ?) ON CONFLICT DO NOTHING"
FORGET = "DELETE FROM once WHERE since < ?"
#: Milliseconds for which they are kept.
_WEEK = 7 * 86_400_000

_INSERT = "INSERT INTO messages (queue, priority, due, body, failure) VALUES (?, ?, ?, ?, ?)"
#: Rows of one statement where there are many: a quarter less work than a statement for each. More bring no more.
_TOGETHER = 10
_INSERT_TOGETHER = _INSERT + ", (?, ?, ?, ?, ?)" * (_TOGETHER - 1)

IS_ANY_READY = """
SELECT EXISTS (SELECT 1 FROM messages WHERE queue = ? AND owner = 0 AND due = 0)
    OR EXISTS (SELECT 1 FROM messages WHERE due > 0 AND due <= ?)
"""

NEXT_DUE = "SELECT min(due) FROM messages WHERE due > 0"
RIPEN = "UPDATE messages SET due = 0 WHERE due > 0 AND due <= ?"

LEASE = """
UPDATE messages SET owner = ? WHERE seq IN (
    SELECT seq FROM messages WHERE queue = ? AND owner = 0 AND due = 0 ORDER BY priority DESC, seq LIMIT ?
) RETURNING seq, priority, body, died
"""

DELETE = "DELETE FROM messages WHERE seq = ? AND owner = ?"
RELEASE = "UPDATE messages SET owner = 0 WHERE seq = ? AND owner = ?"
RELEASE_ALL_OF = "UPDATE messages SET owner = 0 WHERE owner = ?"
DIED = "UPDATE messages SET died = ? WHERE seq = ? AND owner = ?"
HELD = "SELECT seq FROM messages WHERE owner = ?"
OWNERS = "SELECT DISTINCT owner FROM messages WHERE owner > 0"

COUNTS = """
SELECT queue, sum(owner = 0 AND due = 0), sum(owner > 0), sum(due > 0) FROM messages GROUP BY queue
"""

#: A walk through all of them, for one person's question.
WHERE = "SELECT queue, owner, due FROM messages WHERE substr(body, 1, ?) = ? AND queue != ? LIMIT 1"

#: The index alone is read for which rows there are: it has them by priority, and sorting all of them again for each few
#: would take for ever.
LOOK = """
SELECT seq, body, failure FROM messages WHERE seq IN (
    SELECT seq FROM messages WHERE queue = ? AND owner = 0 AND due = 0 AND seq > ? ORDER BY seq LIMIT ?
) ORDER BY seq
"""
COUNT = "SELECT count(*) FROM messages WHERE queue = ? AND owner = 0 AND due = 0"
NUMBERS = "SELECT seq FROM messages WHERE queue = ? AND owner = 0 AND due = 0"
#: By their numbers: SQLite would look through the queue's index each time.
READ = """
SELECT seq, body, failure FROM messages NOT INDEXED
WHERE seq IN (SELECT value FROM json_each(?)) AND queue = ? AND owner = 0 AND due = 0 ORDER BY seq
"""
REMOVE = "DELETE FROM messages WHERE seq = ? AND queue = ? AND owner = 0"


def note(connection: sqlite3.Connection, messages: Sequence[Outgoing]) -> list[Outgoing]:
    """Those whose ids were not noted before; now they are."""
    now = now_ms()
    connection.execute(FORGET, (now - _WEEK,))
    return [each for each in messages if connection.execute(NOTE, (each.id, now)).rowcount]


def insert(connection: sqlite3.Connection, messages: Sequence[Outgoing]) -> None:
    """Store them in their order."""
    rows = _rows(messages)
    whole = len(rows) - len(rows) % _TOGETHER
    several = (tuple(chain.from_iterable(rows[first : first + _TOGETHER])) for first in range(0, whole, _TOGETHER))
    connection.executemany(_INSERT_TOGETHER, several)
    connection.executemany(_INSERT, rows[whole:])


def _rows(messages: Sequence[Outgoing]) -> list[tuple[str, int, int, bytes, str | None]]:
    now = now_ms()
    return [
        (
            out.queue,
            # What failed is worked off in the order of its failing.
            0 if out.queue == FAILED_QUEUE else out.priority,
            now + out.delay if out.delay else 0,
            out.body,
            out.failure,
        )
        for out in messages
    ]
