"""The drills can be trusted: they find a message that is lost, and one that is done twice."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.drills.load import Load
from tests.drills.site import EMBEDDED, Site
from tests.waiting import wait_until


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    made = Site(EMBEDDED, "carrier", tmp_path)
    yield made
    made.close()


def test_a_message_that_is_nowhere_is_lost(site: Site) -> None:
    assert site.send(Load(5, batch=2)).wait() == 0
    with closing(sqlite3.connect(site.home / "queue.db")) as database, database:
        database.execute("DELETE FROM messages WHERE seq = 3")
    tally = site.tally()
    assert tally.sent == {0, 1, 2, 3, 4}
    assert tally.lost == {2}
    assert tally.waiting == {0: 1, 1: 1, 3: 1, 4: 1}


def test_what_is_done_fails_and_comes_twice_is_counted(site: Site) -> None:
    assert site.send(Load(3)).wait() == 0
    assert site.send(Load(2, first=10, actor="fail")).wait() == 0
    with closing(sqlite3.connect(site.home / "queue.db")) as database, database:
        row = "INSERT INTO messages (queue, priority, due, body) SELECT queue, priority, due, body FROM messages"
        database.execute(f"{row} WHERE seq = 1")
    crew = site.workers(1)
    site.settle()
    (first,) = crew.running
    first.kill()
    wait_until(lambda: crew.starts == 2, "it is started again")
    tally = site.tally()
    assert tally.done == {0: 2, 1: 1, 2: 1}
    assert tally.failed == {10: 1, 11: 1}
    assert (tally.lost, tally.twice, tally.waiting.total()) == (set(), 1, 0)
