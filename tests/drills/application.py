"""What the workers of a drill run: the same actors on Carrier and on stock Dramatiq.

Handlers note what they do in the file DRILL_NOTES, one write a line, so that what is counted does not come from the
system that is tried.
"""

from __future__ import annotations

import os
import signal
import time
from datetime import datetime
from functools import cache

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import CurrentMessage

import carrier
from actors.email.handler import deliver
from actors.email.payload import Email
from actors.handling import message_id
from settings import get_settings
from tests.drills import QUEUE, SCHEDULES

_RETRY = {"min_backoff": 100, "max_backoff": 400}

match os.environ["DRILL_SYSTEM"]:
    case "carrier":
        dramatiq.set_broker(carrier.connect())
    case system:
        # Stock Dramatiq does not wait for confirms unless it is told to.
        confirmed = system == "dramatiq+confirms"
        dramatiq.set_broker(RabbitmqBroker(url=os.environ["RABBITMQ_URL"], confirm_delivery=confirmed))


@cache
def _notes() -> int:
    return os.open(os.environ["DRILL_NOTES"], os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)


def note(*lines: str) -> None:
    """Add lines, all of them in one write."""
    os.write(_notes(), "".join(f"{line}\n" for line in lines).encode())


def began(n: int) -> None:
    """Note that a handler begins, and in which group and process."""
    note(f"began {n} {time.time()} {os.getpgid(0)} {os.getpid()}")


@dramatiq.actor(queue_name=QUEUE, max_retries=19, **_RETRY)
def work(n: int, seconds: float = 0, padding: str = "") -> None:
    """Takes its time, as a handler does that waits for somebody."""
    began(n)
    if seconds:
        time.sleep(seconds)  # the handler's work
    note(f"done {n} {time.time()}")


@dramatiq.actor(queue_name=QUEUE, max_retries=19, **_RETRY)
def compute(n: int, seconds: float = 0, padding: str = "") -> None:
    """Holds the interpreter, as a handler does that computes."""
    began(n)
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass
    note(f"done {n} {time.time()}")


@dramatiq.actor(queue_name=QUEUE, max_retries=19, **_RETRY)
def mail(n: int, seconds: float = 0, padding: str = "") -> None:
    """Sends an e-mail."""
    began(n)
    deliver(Email(to=f"user-{n}@example.com", subject=f"E-mail {n}", body="Hello."), message_id(), get_settings())
    note(f"done {n} {time.time()}")


@dramatiq.actor(queue_name=QUEUE, max_retries=19, time_limit=600_000, **_RETRY)
def save(n: int, seconds: float = 0, padding: str = "") -> None:
    """Backs up the database that is called slow."""
    from actors.backup.payload import Backup
    from actors.backup.run import back_up

    began(n)
    back_up(Backup(database="slow"), message_id(), get_settings())
    note(f"done {n} {time.time()}")


@dramatiq.actor(queue_name=QUEUE, max_retries=1, **_RETRY)
def fail(n: int, seconds: float = 0, padding: str = "") -> None:
    """Fails each time."""
    began(n)
    raise RuntimeError(f"message {n} fails")


@dramatiq.actor(queue_name=QUEUE, max_retries=0)
def refuse(n: int, seconds: float = 0, padding: str = "") -> None:
    """Fails for one of three causes, until DRILL_MENDED is set."""
    began(n)
    if "DRILL_MENDED" in os.environ:
        note(f"done {n} {time.time()}")
    elif n % 3 == 0:
        raise LookupError(f"order {n} is unknown")
    elif n % 3 == 1:
        raise RuntimeError(f"user{n}@example.com is refused")
    else:
        int(f"number {n}")


@dramatiq.actor(queue_name=QUEUE)
def tick() -> None:
    """Notes its fire time in Unix seconds and the number of its schedule."""
    meta = CurrentMessage.get_current_message().envelope.meta
    second = round(datetime.fromisoformat(meta["fire"]).timestamp())
    n = second * SCHEDULES + int(meta["schedule"].removeprefix("s"))
    began(n)
    note(f"done {n} {time.time()}")


@dramatiq.actor(queue_name=QUEUE, max_retries=2, **_RETRY)
def poison(n: int, seconds: float = 0, padding: str = "") -> None:
    """Kills its worker each time."""
    began(n)
    os.killpg(os.getpgid(0), signal.SIGKILL)
