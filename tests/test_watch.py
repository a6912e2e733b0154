"""A consumer of the embedded broker is woken by what another process commits."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import dramatiq
import pytest

from carrier.messaging.delivery import Delivery
from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.messaging.embedded.consumer import EmbeddedConsumer
from carrier.messaging.embedded.database import Database
from carrier.messaging.embedded.watch import Watch
from tests.contract.conftest import ROOT
from tests.waiting import wait_until

SENDER = """
import sys
from pathlib import Path
import dramatiq
from carrier.messaging.embedded.broker import EmbeddedBroker

broker = EmbeddedBroker(Path(sys.argv[1]))

@dramatiq.actor(broker=broker, queue_name="q")
def work(): ...

work.send()
"""


@pytest.mark.parametrize("is_watched", [True, False])
def test_what_another_process_sends_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_watched: bool) -> None:
    rests = []
    rest = EmbeddedConsumer._rest

    def counted(self: EmbeddedConsumer, seconds: float) -> None:
        rests.append(seconds)
        rest(self, seconds)

    def no_watch(self: Database) -> Watch:
        raise OSError("no more watches for this user")

    monkeypatch.setattr(EmbeddedConsumer, "_rest", counted)
    if not is_watched:
        monkeypatch.setattr(Database, "watch", no_watch)
    broker = EmbeddedBroker(tmp_path)

    @dramatiq.actor(broker=broker, queue_name="q")
    def work() -> None: ...

    consumer = broker.consume("q", prefetch=1, timeout=60_000)
    found: list[Delivery | None] = []
    taker = threading.Thread(target=lambda: found.append(next(consumer)))
    taker.start()
    # Looking a hundred times a second it would rest as often before the message is there.
    wait_until(lambda: len(rests) == 1 if is_watched else len(rests) > 30, "it rests")
    subprocess.run([sys.executable, "-c", SENDER, str(tmp_path)], check=True, cwd=ROOT)
    taker.join(60)
    assert found[0] is not None
    assert len(rests) < 10 or not is_watched, "it does not look while nothing happens"
    consumer.close()
    broker.close()


def test_a_commit_between_a_look_and_the_waiting_is_not_missed(tmp_path: Path) -> None:
    file, news = tmp_path / "file", threading.Event()
    file.touch()
    watch = Watch(file)
    watch.tell(news)
    watch.wait(news, 0.01)  # in vain: the watch goes on reading, for nobody
    assert not news.is_set()
    os.utime(file)
    wait_until(news.is_set, "it is told all the same")
    news.clear()
    os.utime(file)  # nobody has asked since: the kernel keeps it
    watch.wait(news, 60)
    assert news.is_set()
    watch.end()


def test_a_watch_leaves_nothing_behind(tmp_path: Path) -> None:
    def threads() -> list[str]:
        return [each.name for each in threading.enumerate()]

    file = tmp_path / "file"
    file.touch()
    watch = Watch(file)
    assert "carrier-watch" in threads()
    watch.end()
    assert "carrier-watch" not in threads()


def test_what_cannot_be_watched_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        Watch(tmp_path / "nothing")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
