"""Where one run happens: a folder, a virtual host of a private RabbitMQ node, and the marks of its messages."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from benchmarks.peers import slots
from benchmarks.system import System
from tests.servers.installed import INSTALLATIONS
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode
from tests.waiting import wait_until

ROOT = Path(__file__).parents[1]


@contextmanager
def node(version: str, beside: RabbitmqNode | None = None) -> Iterator[RabbitmqNode]:
    """A private RabbitMQ node, which joins the cluster of another one."""
    folder = Path(tempfile.mkdtemp(prefix="carrier-bench-"))
    server = RabbitmqNode(folder, INSTALLATIONS[version], beside=beside)
    try:
        server.wait()
        if beside is not None:
            server.join()
        yield server
    finally:
        server.stop()
        shutil.rmtree(folder)


class Place:
    """Runs the programs of one system; what it has started ends with it.

    Attributes:
        environment: of its programs.
        marks: the file of benchmarks/peers/slots.py.
    """

    def __init__(self, system: System, folder: Path, messages: int, environment: dict[str, str]) -> None:
        self.system = system
        self.folder = folder
        self.marks = folder / "slots"
        slots.make(self.marks, messages + 1)
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(ROOT),
            "BENCH_SLOTS": str(self.marks),
            "CARRIER_HOME": str(folder / "home"),
            **environment,
        }
        (folder / "home").mkdir()
        self._started: list[Process] = []

    def start(self, *command: str, **environment: str) -> Process:
        """A program that goes on beside what the caller does."""
        process = Process(
            command, log=self.folder / f"log-{len(self._started)}", environment={**self.environment, **environment},
            cwd=self.folder,
        )  # fmt: skip
        self._started.append(process)
        return process

    def send(self, how: str, *words: str, **environment: str) -> float:
        """Seconds that sending took.

        Raises:
            RuntimeError: it failed.
        """
        process = self.start(*self.system.sender, how, *words, **environment)
        if process.wait(900) != 0:
            raise RuntimeError(f"{self.system.name}: {process.output()}")
        return float(process.output().split()[-1])

    def begun(self) -> list[tuple[int, int, int]]:
        """(when it was sent, when its handler began, which process) of those whose handler has begun; ns since 1970."""
        return [each for each in slots.read(self.marks) if each[1]]

    def wait(self, worker: Process, messages: int) -> list[tuple[int, int, int]]:
        """What :meth:`begun` returns once so many have begun.

        Raises:
            RuntimeError: the worker ended before.
        """
        self.until(worker, messages, every=0.2)
        return self.begun()

    def until(self, worker: Process, messages: int, *, every: float) -> None:
        """Wait until so many have begun, and look every so many seconds: counting many is work, too.

        Raises:
            RuntimeError: the worker ended before.
        """
        most = slots.size(self.marks) - messages
        wait_until(
            lambda: slots.left(self.marks) <= most or not worker.running, "they are handled", timeout=1_800, every=every
        )
        if slots.left(self.marks) > most:
            raise RuntimeError(f"{self.system.name}: {worker.output()}")

    def end(self) -> None:
        """End what runs."""
        for process in self._started:
            process.kill()
            process.wait()


@contextmanager
def place(system: System, server: RabbitmqNode | None, messages: int, **environment: str) -> Iterator[Place]:
    """A new place for messages numbered up to ``messages``; ``server`` is None on the embedded broker alone."""
    with ExitStack() as stack:
        folder = Path(tempfile.mkdtemp(prefix="carrier-bench-"))
        stack.callback(shutil.rmtree, folder)
        if system.on_rabbitmq and server is not None:
            environment["RABBITMQ_URL"] = url = server.new_vhost()
            stack.callback(server.delete_vhost, url)
        here = Place(system, folder, messages, environment)
        stack.callback(here.end)
        yield here
