"""The application that the contract's worker processes run. Its handlers note what they do in the file NOTES."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import dramatiq
from pydantic import BaseModel

import carrier

broker = carrier.connect()
if "METRICS" in os.environ:
    from dramatiq.middleware.prometheus import Prometheus

    broker.add_middleware(Prometheus())
dramatiq.set_broker(broker)


class Numbered(BaseModel):
    """A message that a test can tell from the others."""

    n: int
    seconds: float = 0


def note(*words: object) -> None:
    """Add a line; one write, so that processes do not mix theirs."""
    with Path(os.environ["NOTES"]).open("a") as file:
        file.write(" ".join(map(str, (os.getpid(), *words))) + "\n")


@carrier.actor("quick", queue="work_queue", payload=Numbered)
def quick(message: Numbered) -> None:
    """Done at once."""
    note("done", message.n)


@carrier.actor("slow", queue="work_queue", payload=Numbered)
def slow(message: Numbered) -> None:
    """Takes its time."""
    note("began", message.n)
    time.sleep(message.seconds)  # the handler's work
    note("done", message.n)


@carrier.actor("busy", queue="work_queue", payload=Numbered, max_attempts=3)
def busy(message: Numbered) -> None:
    """Computes, which can be interrupted; a sleep cannot."""
    note("began", message.n)
    until = time.monotonic() + message.seconds
    while time.monotonic() < until:
        pass
    note("done", message.n)


@carrier.actor("killer", queue="work_queue", payload=Numbered)
def killer(message: Numbered) -> None:
    """Kills its worker, the first time."""
    flag = Path(os.environ["NOTES"]).with_name(f"killed-{message.n}")
    if not flag.exists():
        flag.touch()
        note("killed", message.n)
        # The whole group, as a machine that dies.
        os.killpg(os.getpgid(0), signal.SIGKILL)
    note("done", message.n)


@carrier.actor("poison", queue="work_queue", payload=Numbered, max_attempts=3, min_backoff=10, max_backoff=20)
def poison(message: Numbered) -> None:
    """Kills its worker every time, until there is a cure."""
    note("began", message.n)
    if not Path(os.environ["NOTES"]).with_name("cure").exists():
        time.sleep(message.seconds)  # so that others run beside it
        os.killpg(os.getpgid(0), signal.SIGKILL)
    note("done", message.n)


@carrier.actor("broken", queue="work_queue", payload=Numbered, max_attempts=3, min_backoff=10, max_backoff=20)
def broken(message: Numbered) -> None:
    """Always fails."""
    note("tried", message.n)
    raise RuntimeError(f"message {message.n} is broken")


@dramatiq.actor(queue_name="plain_queue")
def plain(n: int, *, name: str = "") -> None:
    """An actor that knows nothing of Carrier."""
    note("done", n, name)
