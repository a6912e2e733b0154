"""A worker that is told to end begins nothing more, and gives back what it has not begun before it waits."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable

from dramatiq import Message

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker
from tests.waiting import wait_until


def test_prefetched_messages_are_with_another_worker_while_the_running_one_finishes(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    def send(type_: str, n: int, **payload: float) -> None:
        message: Message[None] = Message(
            queue_name="work_queue", actor_name=type_, args=(), kwargs={"n": n, **payload}, options={}
        )
        broker.enqueue(message)

    broker.declare_queue("work_queue")
    send("slow", 0, seconds=6)
    first = start_worker(threads=1)
    wait_until(lambda: any(words[1] == "began" for words in notes()), "the slow one has begun")
    send("quick", 1)  # the first worker takes it, and holds it: its only thread is busy
    wait_until(lambda: backend.ready("work_queue") == 0, "it is prefetched")
    second = start_worker(threads=1)
    wait_until(lambda: "ready for action" in second.output(), "the second worker works")
    told = time.monotonic()
    first.signal(signal.SIGTERM)
    wait_until(lambda: ["done", "1"] in [words[1:] for words in notes()], "the prefetched one is done")
    elapsed = time.monotonic() - told
    assert ["done", "0"] not in [words[1:] for words in notes()], "the running one still runs"
    assert elapsed < 5
    assert first.wait() == 0
    done = [words[2] for words in notes() if words[1] == "done"]
    assert sorted(done) == ["0", "1"], "each is done once"
    (slow,) = [words[0] for words in notes() if words[1:] == ["done", "0"]]
    (quick,) = [words[0] for words in notes() if words[1:] == ["done", "1"]]
    assert slow != quick


def test_an_idle_worker_ends_with_status_0(start_worker: StartWorker) -> None:
    worker = start_worker()
    wait_until(lambda: "ready for action" in worker.output(), "it works")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
