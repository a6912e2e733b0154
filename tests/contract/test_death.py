"""A worker that is killed inside a handler loses nothing: another one does its messages."""

from __future__ import annotations

from collections.abc import Callable

from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker
from tests.waiting import wait_until


def test_the_message_of_a_killed_worker_is_done_by_the_next(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    from dramatiq import Message

    def message(type_: str, n: int) -> Message[None]:
        return Message(queue_name="work_queue", actor_name=type_, args=(), kwargs={"n": n}, options={})

    broker.declare_queue("work_queue")
    broker.enqueue_many([message("killer", 0), *(message("quick", n) for n in range(1, 6))])
    first = start_worker(threads=1)
    assert first.wait() != 0
    assert ["killed", "0"] in [words[1:] for words in notes()]
    start_worker(threads=1)
    done = wait_until(
        lambda: (
            (found := [int(words[2]) for words in notes() if words[1] == "done"]) and len(set(found)) == 6 and found
        ),
        "the next worker has done all six",
    )
    assert sorted(done) == [0, 1, 2, 3, 4, 5]
    wait_until(lambda: backend.ready("work_queue") == 0, "the queue is empty")
    assert backend.ready("failed_queue") == 0
