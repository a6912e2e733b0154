"""Where a drill takes place: a broker of its own, senders, a crew of workers, and counting from outside."""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.contract.backend import Backend, Embedded, Rabbitmq
from tests.drills import QUEUE
from tests.drills.crew import Crew
from tests.drills.load import Load
from tests.drills.notes import Notes, Tally, tally
from tests.servers.installed import INSTALLATIONS
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
EMBEDDED = "embedded"
#: The brokers that a drill can take place on.
BROKERS = (EMBEDDED, *(f"rabbitmq-{version}" for version in INSTALLATIONS))
#: Stock Dramatiq as its guide starts it, and with the publisher confirms that it can have.
STOCK = ("dramatiq", "dramatiq+confirms")
#: Where the systems keep what has failed for good.
_FAILED = {"carrier": "failed_queue", **dict.fromkeys(STOCK, f"{QUEUE}.XQ")}
#: Seconds without any event, with all queues empty, after which what is open will not be done any more.
_QUIET = 10.0


class Site:
    """A broker, and everything that a drill starts on it.

    Parameters:
        broker: one of BROKERS.
        system: carrier, or one of STOCK.
        config: settings of RabbitMQ.
        use_management: whether Carrier is told of its management API.

    Attributes:
        environment: what programs see.
        home: CARRIER_HOME.
        ending: what is called once every process has ended.
        chance: for what happens at random; the same in each run.
    """

    def __init__(
        self,
        broker: str,
        system: str,
        folder: Path,
        config: Mapping[str, int] | None = None,
        *,
        use_management: bool = True,
    ) -> None:
        self.broker, self.system, self.folder = broker, system, folder
        self.home = folder / "home"
        self.chance = random.Random(f"{broker} {system}")
        self.notes = Notes(folder / "notes")
        self._node: RabbitmqNode | None = None
        self._started: list[Process] = []
        self._crews: list[Crew] = []
        self.ending = ExitStack()
        self.backend: Backend
        if broker == EMBEDDED:
            self.backend = Embedded(self.home)
        else:
            (folder / "node").mkdir()
            self._node = RabbitmqNode(folder / "node", INSTALLATIONS[broker.partition("-")[2]], **config or {})
            self._node.wait()
            self.backend = Rabbitmq(self._node, self.home)
            if use_management:
                self.backend.environment["RABBITMQ_MANAGEMENT_URL"] = f"http://127.0.0.1:{self._node.management}"
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "DRILL_SYSTEM": system,
            "DRILL_NOTES": str(self.notes.path),
            **self.backend.environment,
        }

    @property
    def node(self) -> RabbitmqNode:
        """Its RabbitMQ."""
        assert self._node is not None
        return self._node

    @property
    def rabbitmq(self) -> Rabbitmq:
        """Its virtual host."""
        assert isinstance(self.backend, Rabbitmq)
        return self.backend

    # Programs

    def start(self, name: str, *command: str) -> Process:
        """A program, with its output in ``name.log``."""
        process = Process(command, log=self.folder / f"{name}.log", environment=self.environment, cwd=self.folder)
        self._started.append(process)
        return process

    @staticmethod
    def sender(load: Load) -> list[str]:
        """The command of a sending process."""
        return [sys.executable, "-m", "tests.drills.sender", load.text()]

    def send(self, load: Load) -> Process:
        """A sending process."""
        return self.start("senders", *self.sender(load))

    def workers(self, count: int, *, processes: int = 1, threads: int = 4) -> Crew:
        """``count`` worker programs, kept alive."""
        dramatiq = str(Path(sys.executable).parent / "dramatiq")
        words = ("tests.drills.application", "-p", str(processes), "-t", str(threads))
        return self.crew("workers", count, dramatiq, *words)

    def crew(self, name: str, count: int, *command: str) -> Crew:
        """``count`` programs, kept alive, with their output in ``name.log``."""
        crew = Crew(count, lambda: self.start(name, *command))
        self._crews.append(crew)
        return crew

    def close(self) -> None:
        """End everything."""
        for crew in self._crews:
            crew.stop()
        for process in self._started:
            process.kill()
        if self._node is not None:
            self._node.stop()
        self.ending.close()

    def load_for(self, seconds: float, over: Callable[[], bool] = lambda: False) -> None:
        """Let senders and workers run for a time, which is part of the drill; or until ``over``."""
        until = time.monotonic() + seconds
        while time.monotonic() < until and not over():
            time.sleep(0.02)  # between two looks

    def raised(self) -> str:
        """How many sends raised, and what the first of them said."""
        refused = self.notes.read().refused
        return f"{len(refused)} sends raised{f' ({refused[0]})' if refused else ''}"

    # Counting

    def settle(self, timeout: float = 300) -> None:
        """Wait until everything that was sent is done or has failed, or nothing is left to be done, or ``timeout``
        seconds are over."""
        events, since = -1, time.monotonic()

        def over() -> bool:
            nonlocal events, since
            left = self.notes.read().open
            failed, waiting = self._counts()
            if not waiting and failed >= len(left):
                return True
            before, events = events, sum(map(len, self.notes.began.values()))
            if waiting or events != before:
                since = time.monotonic()
            return time.monotonic() - since > _QUIET

        try:
            wait_until(over, "everything is done or has failed", timeout=timeout, every=0.5)
        except AssertionError:
            return  # the tally says how much is left

    def tally(self) -> Tally:
        """End the workers, and look where each message is."""
        for crew in self._crews:
            crew.stop()
        failed, waiting = Counter[int](), Counter[int]()
        for queue, body in self._bodies():
            into = failed if queue == _FAILED[self.system] else waiting
            into[_number(body)] += 1
        return tally(self.notes.read(), failed, waiting)

    def _bodies(self) -> list[tuple[str, bytes]]:
        """Every message that lies in a queue, whatever it waits for."""
        if self._node is None:
            if not (self.home / "queue.db").exists():
                return []  # nobody has sent anything
            with closing(self._database()) as database:
                return database.execute("SELECT queue, body FROM messages").fetchall()

        def given_back() -> bool:
            # The API has no figures for what it has not come to yet.
            return not sum(each.get("messages_unacknowledged", 1) for each in self._figures())

        wait_until(given_back, "what the workers held is back", timeout=60, every=0.5)
        names = [each["name"] for each in self._figures()]
        return [(name, body) for name in names for body in self.backend.bodies(name)]

    def _counts(self) -> tuple[int, int]:
        """About as many as have failed, and as wait or are being handled."""
        if self._node is None:
            with closing(self._database()) as database:
                by_queue = dict(database.execute("SELECT queue, count(*) FROM messages GROUP BY queue").fetchall())
        else:
            try:
                by_queue = {each["name"]: each.get("messages", 1) for each in self._figures()}
            except OSError:
                return 0, 1  # it is down just now, and has what it has
        failed = by_queue.pop(_FAILED[self.system], 0)
        return failed, sum(by_queue.values())

    def _figures(self) -> list[dict[str, Any]]:
        return list(self.node.api(f"/queues/{self.rabbitmq.vhost}"))

    def _database(self) -> sqlite3.Connection:
        return sqlite3.connect(self.home / "queue.db", timeout=60)


def _number(body: bytes) -> int:
    fields = json.loads(body)
    if "fire" in fields.get("meta", {}):
        return round(datetime.fromisoformat(fields["meta"]["fire"]).timestamp())
    return int((fields["args"] if "args" in fields else fields["meta"]["args"])[0])
