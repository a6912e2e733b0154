"""A worker that is killed inside a handler loses nothing: another one does its messages, and one that kills each time
ends in failed_queue."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from carrier.messaging.broker import Broker
from carrier.monitor import failed
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker, numbered
from tests.servers.process import Process
from tests.waiting import wait_until


def test_the_message_of_a_killed_worker_is_done_by_the_next(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue_many([numbered("killer", 0, **SOON), *(numbered("quick", n, **SOON) for n in range(1, 6))])
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


#: The attempts and backoff (ms) of what is sent here.
SOON = {"max_attempts": 3, "min_backoff": 10, "max_backoff": 20}


def work_until(condition: Callable[[], object], start: Callable[[], Process], what: str) -> None:
    """Start a worker whenever there is none, as a supervisor does."""
    worker = start()

    def looked() -> object:
        nonlocal worker
        if not worker.running:
            worker = start()
        return condition()

    wait_until(looked, what, timeout=90)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0


def test_a_message_that_kills_each_time_fails_and_nobody_fails_for_it(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]], tmp_path: Path
) -> None:
    broker.declare_queue("work_queue")
    beside = [numbered("slow", n, 0.2, **SOON) for n in range(1, 13)]
    broker.enqueue_many([*beside[:6], numbered("poison", 0, 0.1, **SOON), *beside[6:]])

    def count(*words: str) -> int:
        return sum(each[1:] == list(words) for each in notes())

    done = {str(n) for n in range(1, 13)}
    work_until(
        lambda: backend.ready("failed_queue") == 1 and {w[2] for w in notes() if w[1] == "done"} >= done,
        lambda: start_worker(threads=4),
        "the killer has failed and all others are done",
    )
    assert count("began", "0") == 3, "its attempts"
    (failure,) = backend.failures()
    assert failure["reason"] == "worker died"
    assert failure["error"].endswith("WorkerDied")
    assert [each["attempt"] for each in failure["attempts"]] == [1, 2, 3]
    assert {each["worker"].rpartition(":")[2] for each in failure["attempts"]} == {
        words[0] for words in notes() if words[1:] == ["began", "0"]
    }
    begun = Counter(words[2] for words in notes() if words[1] == "began")
    assert max(begun[n] for n in done) <= 3, "beside a killer at most twice, and once alone"

    assert failed.retry(broker).done == 1
    (again,) = backend.envelopes("work_queue")
    assert again["meta"]["attempt"] == 1, "a retry by hand starts a fresh count"
    (tmp_path / "cure").touch()
    work_until(lambda: count("done", "0") == 1, lambda: start_worker(threads=1), "it is done")
