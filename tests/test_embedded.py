"""The embedded broker's file: shared by processes that start together, are killed, or find it unusable."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import dramatiq
import pytest

from carrier.messaging import lease
from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.messaging.errors import BrokerUnavailable, PublishError
from carrier.messaging.figures import WorkerFigures
from tests.contract.conftest import ROOT
from tests.waiting import wait_until

SENDER = """
import sys
from pathlib import Path
import dramatiq
from carrier.messaging.embedded.broker import EmbeddedBroker

broker = EmbeddedBroker(Path(sys.argv[1]))
dramatiq.set_broker(broker)

@dramatiq.actor(queue_name="q")
def work(n): ...

print("ready", flush=True)
for n in range(int(sys.argv[2])):
    work.send(n)
    print(n, flush=True)
"""


WORKER = """
import sys, threading
from pathlib import Path
import dramatiq
from carrier.messaging.embedded.broker import EmbeddedBroker

broker = EmbeddedBroker(Path(sys.argv[1]))

@dramatiq.actor(broker=broker, queue_name="q")
def work(n):
    print("began", flush=True)
    sys.stdin.readline()

dramatiq.Worker(broker, worker_threads=1).start()
threading.Event().wait()
"""


OPENER = """
import sys
from pathlib import Path
from carrier.messaging.embedded.database import Database

for path in sys.stdin:
    for _ in range(3):  # who closes the last connection to it takes the WAL away
        Database(Path(path.strip())).close()
    print("ready", flush=True)
"""


def start_sender(home: Path, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SENDER, str(home), str(count)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
    )


def stored(home: Path) -> int:
    with closing(sqlite3.connect(home / "queue.db")) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count: int = database.execute("SELECT count(*) FROM messages").fetchone()[0]
        return count


def test_processes_that_start_together_make_one_file(tmp_path: Path) -> None:
    home = tmp_path / "a home with ? # and %41"
    senders = [start_sender(home, 25) for _ in range(6)]
    for sender in senders:
        out, _ = sender.communicate(timeout=60)
        assert (sender.returncode, out.count("\n")) == (0, 26)
    assert stored(home) == 150


def test_processes_that_open_a_new_file_at_once_wait_for_each_other(tmp_path: Path) -> None:
    openers = [
        subprocess.Popen(
            [sys.executable, "-c", OPENER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
            env={"PATH": os.environ["PATH"]},
        )
        for _ in range(4)
    ]  # fmt: skip
    for number in range(60):
        for opener in openers:
            assert opener.stdin is not None
            print(tmp_path / str(number) / "queue.db", file=opener.stdin, flush=True)
        for opener in openers:
            assert opener.stdout is not None
            assert opener.stdout.readline() == "ready\n"
    for opener in openers:
        opener.communicate(timeout=60)
        assert opener.returncode == 0


def test_what_a_killed_sender_had_confirmed_is_stored(tmp_path: Path) -> None:
    sender = start_sender(tmp_path, 1_000_000)
    assert sender.stdout is not None
    confirmed = -1
    for line in sender.stdout:
        if line.strip() == "100":
            sender.kill()
        if line.strip().isdigit():
            confirmed = int(line)
    sender.wait(30)
    sender.stdout.close()
    assert confirmed >= 100
    # The last one may be stored and its line lost.
    assert stored(tmp_path) in (confirmed + 1, confirmed + 2)


def test_a_lease_ends_with_its_process_and_not_before(tmp_path: Path) -> None:
    mine = lease.Lease(tmp_path)
    assert not lease.is_dead(tmp_path, mine.owner)
    code = (
        "import sys, pathlib; from carrier.messaging.lease import Lease; print(Lease(pathlib.Path(sys.argv[1])).owner)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    out = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert lease.is_dead(tmp_path, int(out))
    mine.end()
    assert lease.is_dead(tmp_path, mine.owner)


def test_whoever_sends_in_the_middle_of_his_own_sending_is_refused(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work(n: int) -> None: ...

    work.send(1)
    database = broker.database
    with database.transaction(database.sending) as connection:
        connection.execute("INSERT INTO messages (queue, priority, due, body) VALUES ('q', 0, 0, x'')")
        with pytest.raises(RuntimeError, match="a signal's handler cannot send"):
            work.send(2)
    assert broker.counts()["q"]["ready"] == 2
    broker.close()


def test_a_file_that_somebody_holds_is_waited_for_and_then_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carrier.messaging.embedded.database.BUSY_TIMEOUT", 0.1)
    broker = EmbeddedBroker(tmp_path, publish_timeout=0.5)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work(n: int) -> None: ...

    work.send(1)
    with closing(sqlite3.connect(tmp_path / "queue.db", isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(PublishError, match=r"queue\.db: cannot be written: database is locked"):
            work.send(2)
        other.execute("ROLLBACK")
    work.send(3)
    assert broker.counts()["q"]["ready"] == 2
    broker.close()


def test_a_disk_that_is_nearly_full_is_kept_for_the_work_that_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker = EmbeddedBroker(tmp_path, publish_timeout=0.2)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work(padding: str) -> None: ...

    for _ in range(10):
        work.send("x" * 10_000)
    disk = os.statvfs(tmp_path)
    nearly_full = os.statvfs_result((*disk[:2], disk.f_blocks, disk.f_bfree, 0, *disk[5:]))
    monkeypatch.setattr(os, "fstatvfs", lambda _: nearly_full)
    monkeypatch.setattr("carrier.messaging.embedded.database._KEPT_FREE", 50_000)
    with pytest.raises(PublishError, match=r"queue\.db: cannot be written: the disk has .* MB left, and .* are kept"):
        work.send("")
    consumer = broker.consume("q", prefetch=10, timeout=1000)
    for _ in range(10):
        delivery = next(consumer)
        assert delivery is not None
        consumer.ack(delivery)
    consumer.close()
    assert broker.counts() == {}, "what is there is worked off"
    work.send("")
    broker.close()


def test_a_file_of_another_version_or_of_nothing_is_refused(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        database.execute("PRAGMA user_version = 99")
    with pytest.raises(BrokerUnavailable, match="version 99"):
        EmbeddedBroker(tmp_path).database  # noqa: B018  (opening it is the act)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "queue.db").write_bytes(b"this is no database" * 100)
    with pytest.raises(BrokerUnavailable, match="not a database"):
        EmbeddedBroker(tmp_path / "other").database  # noqa: B018  (opening it is the act)


def test_a_file_of_the_first_version_is_taken_over(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work() -> None: ...

    work.send()
    broker.close()
    with closing(sqlite3.connect(tmp_path / "queue.db")) as database:
        database.executescript("ALTER TABLE messages DROP COLUMN died; DROP TABLE once;")
        database.execute("PRAGMA user_version = 1")
    work.send()
    consumer = broker.consume("q", prefetch=2, timeout=1000)
    assert next(consumer) is not None
    assert next(consumer) is not None
    consumer.close()
    broker.close()


def test_what_a_killed_worker_had_done_is_not_done_again(tmp_path: Path) -> None:
    broker = EmbeddedBroker(tmp_path)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work(n: int) -> None: ...

    work.send(1)
    worker = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]},
    )
    assert worker.stdin is not None
    assert worker.stdout is not None
    assert worker.stdout.readline() == "began\n"
    with broker.database.exclusive():  # the worker cannot write that the message is done
        print(file=worker.stdin, flush=True)
        (owner,) = lease.owners(broker.leases)
        wait_until(
            lambda: [each for each in lease.past(broker.leases, owner).values() if isinstance(each, lease.Ended)],
            "its handler has ended",
        )
        worker.kill()
        worker.wait(30)
    worker.stdin.close()
    worker.stdout.close()
    consumer = broker.consume("q", prefetch=1, timeout=100)
    assert next(consumer) is None
    assert broker.counts() == {}
    consumer.close()
    broker.close()


def test_closing_gives_back_descriptors_and_leases(tmp_path: Path) -> None:
    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()
    broker = EmbeddedBroker(tmp_path)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work() -> None: ...

    work.send()
    consumer = broker.consume("q", prefetch=2, timeout=1000)
    assert next(consumer) is not None
    assert broker.counts()["q"] == {"ready": 0, "unacked": 1, "delayed": 0}
    consumer.close()
    broker.close()
    assert descriptors() == before
    assert not list((tmp_path / "leases").iterdir())
    assert broker.counts()["q"] == {"ready": 1, "unacked": 0, "delayed": 0}, "it opens again, and has what was taken"
    broker.close()


def test_who_has_died_is_told_of_for_an_hour(tmp_path: Path) -> None:
    names = {}
    for number in (1, 2):
        dead = lease.Lease(tmp_path)
        dead.report(WorkerFigures("host", number, ["q"], at=time.time()))
        dead.abandon()  # its lock is free, as a dead process's is
        names[number] = dead.owner
        del dead
    assert [each.process for each in lease.lost(tmp_path)] == [2, 1], "nobody has dealt with them yet"
    assert lease.workers(tmp_path) == []
    lease.retire(tmp_path, names[1])
    assert [each.process for each in lease.lost(tmp_path)] == [2, 1]
    assert lease.owners(tmp_path) == [names[2]]
    (lost,) = tmp_path.glob("*.lost")
    then = time.time() - 3700
    os.utime(lost, (then, then))
    assert [each.process for each in lease.lost(tmp_path)] == [2]
    lease.retire(tmp_path, names[2])
    assert not lost.exists(), "it is forgotten"


def test_who_only_sends_leaves_no_lease_and_a_worker_removes_those_of_the_dead(tmp_path: Path) -> None:
    sender = start_sender(tmp_path, 3)
    sender.communicate(timeout=60)
    leases = tmp_path / "leases"
    assert not leases.exists()
    leases.mkdir()
    (leases / f"{5:016x}.lease").write_text("")
    broker = EmbeddedBroker(tmp_path)
    broker.declare_queue("q")
    consumer = broker.consume("q", prefetch=1, timeout=1000)
    assert next(consumer) is None, "no actor is declared here: it is refused"
    assert [path.name for path in leases.iterdir()] == [f"{broker.owner:016x}.lease"]
    consumer.close()
    broker.close()
    assert list(leases.iterdir()) == []


@pytest.mark.parametrize("all_of_it", [False, True])
def test_what_is_put_in_the_place_of_the_file_is_used(tmp_path: Path, all_of_it: bool) -> None:
    home = tmp_path / "var"
    broker, done = EmbeddedBroker(home), []

    @dramatiq.actor(broker=broker, queue_name="q")
    def work(n: int) -> None:
        done.append(n)

    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    try:
        work.send(1)
        wait_until(lambda: done == [1], "the file is in use")
        if all_of_it:
            shutil.rmtree(home)
        else:
            for path in home.glob("queue.db*"):
                path.unlink()
        work.send(2)
        with closing(sqlite3.connect(home / "queue.db")) as database:
            assert database.execute("SELECT seq FROM sqlite_sequence").fetchall() == [(1,)], "it is in the new file"
        wait_until(lambda: done == [1, 2], "the worker goes over to it", timeout=60)
    finally:
        worker.stop()
        broker.close()
    assert EmbeddedBroker(home).counts() == {}
