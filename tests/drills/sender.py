"""The sending program of a drill: it notes a message once its send has returned, and not before."""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from typing import Any

import dramatiq
from dramatiq import Message

from tests.drills import application
from tests.drills.application import note
from tests.drills.load import Load

Batch = list[tuple[Message[Any], int]]


def batches(load: Load) -> Iterator[Batch]:
    """The messages, each with its delay in ms."""
    actor = getattr(application, load.actor)
    chance = random.Random(load.first)
    for first in range(load.first, load.first + load.count, load.batch):
        yield [
            (
                actor.message(n, round(chance.uniform(*load.seconds), 3), "x" * load.size),
                chance.randint(*load.delay or (0, 0)),
            )
            for n in range(first, min(first + load.batch, load.first + load.count))
        ]


def send(load: Load) -> None:
    """Send all. What is refused is sent again, as by an application that must not forget it."""
    began, sent = time.monotonic(), 0
    for batch in batches(load):
        if load.pace:
            time.sleep(max(0.0, began + sent / load.pace - time.monotonic()))  # the load's pace
        now = time.time()
        while not is_sent(batch):
            time.sleep(0.1)  # an application's pause between two tries
        sent += len(batch)
        over = time.time()
        note(
            *(
                f"sent {message.args[0]} {now} {over} {now + delay / 1000 if load.delay else 0}"
                for message, delay in batch
            )
        )


def is_sent(batch: Batch) -> bool:
    """Whether the send returned."""
    broker = dramatiq.get_broker()
    try:
        if len(batch) == 1:
            message, delay = batch[0]
            broker.enqueue(message, delay=delay or None)
        else:
            broker.enqueue_many([message.copy(options={"delay": delay}) for message, delay in batch])
    except Exception as error:  # noqa: BLE001  (whatever it is, it was not sent)
        said = " ".join(f"{type(error).__name__}: {error}".split())
        note(f"refused {batch[0][0].args[0]} {time.time()} {said}")
        return False
    return True


if __name__ == "__main__":
    send(Load(**json.loads(sys.argv[1])))
    dramatiq.get_broker().close()
