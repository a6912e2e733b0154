"""A worker that is told to end begins nothing more, and gives back what it has not begun before it waits."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import dramatiq
import pytest

from carrier.messaging import ending
from carrier.messaging.broker import Broker
from carrier.messaging.embedded.broker import EmbeddedBroker
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker, numbered
from tests.programs import Start
from tests.waiting import wait_until


def test_prefetched_messages_are_with_another_worker_while_the_running_one_finishes(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue(numbered("slow", 0, seconds=6))
    first = start_worker(threads=1)
    wait_until(lambda: any(words[1] == "began" for words in notes()), "the slow one has begun")
    broker.enqueue(numbered("quick", 1))  # the first worker takes it, and holds it: its only thread is busy
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


def test_a_signal_to_the_whole_group_twice_is_one_warm_stop(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue_many([numbered("slow", 0, 2), *(numbered("slow", n, 30) for n in range(1, 5))])
    worker = start_worker("--queues", "work_queue", threads=1)
    wait_until(lambda: any(words[1] == "began" for words in notes()), "the first has begun")
    wait_until(lambda: backend.ready("work_queue") == 3, "another is prefetched")
    os.killpg(worker.pid, signal.SIGTERM)
    wait_until(lambda: backend.ready("work_queue") == 4, "what was not begun is back")
    assert worker.running
    os.killpg(worker.pid, signal.SIGTERM)
    assert worker.wait() == 0
    assert [words[1:] for words in notes()] == [["began", "0"], ["done", "0"]]
    assert backend.ready("work_queue") == 4


def test_what_does_not_end_within_the_grace_time_goes_back_uncharged(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue_many([numbered("busy", 0, 60), numbered("slow", 1, 60)])
    worker = start_worker(threads=2, SHUTDOWN_GRACE="0.5")
    wait_until(lambda: len(notes()) == 2, "both have begun")
    worker.signal(signal.SIGTERM)
    assert worker.wait(30) == 0
    assert [words[1] for words in notes()] == ["began", "began"]
    assert backend.ready("work_queue") == 2
    assert [fields["meta"].get("attempt", 1) for fields in backend.envelopes("work_queue")] == [1, 1]
    assert not any("attempts" in fields["meta"] for fields in backend.envelopes("work_queue"))


SERVERS = {
    "gunicorn": ["gunicorn", "--bind=127.0.0.1:0", "--workers=1", "tests.contract.web:wsgi"],
    "uvicorn": ["uvicorn", "--port=0", "tests.contract.web:asgi"],
}


@pytest.mark.parametrize(("server", "begin"), [("gunicorn", "import"), ("uvicorn", "import"), ("uvicorn", "lifespan")])
def test_consumers_inside_a_web_application_end_as_a_worker_does(
    backend: Backend,
    broker: Broker,
    start: Start,
    notes: Callable[[], list[list[str]]],
    server: str,
    begin: str,
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue_many([numbered("slow", 0, 2), numbered("slow", 1, 30), numbered("slow", 2, 30)])
    web = start(*SERVERS[server], **backend.environment, CARRIER_ACTORS="tests.contract.application", START=begin)
    wait_until(lambda: any(words[1] == "began" for words in notes()), "the first has begun")
    wait_until(lambda: backend.ready("work_queue") == 1, "another is prefetched")
    os.killpg(web.pid, signal.SIGTERM)
    wait_until(lambda: backend.ready("work_queue") == 2, "what was not begun is back")
    os.killpg(web.pid, signal.SIGTERM)
    # Once it has shut down uvicorn sends itself the signal again, to whom it finds there.
    assert web.wait() in ({0, -signal.SIGTERM} if server == "uvicorn" else {0}), web.output()
    assert "Traceback" not in web.output()
    assert [words[1:] for words in notes()] == [["began", "0"], ["done", "0"]]
    assert backend.ready("work_queue") == 2


def test_a_handler_that_cannot_be_interrupted_is_waited_for_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broker, began, free = EmbeddedBroker(tmp_path, grace=0.1), threading.Event(), threading.Event()

    @dramatiq.actor(broker=broker, queue_name="work_queue")
    def work() -> None:
        began.set()
        free.wait()

    worker = dramatiq.Worker(broker, worker_threads=1)
    worker.start()
    work.send()
    assert began.wait(30)
    looks = []
    monkeypatch.setattr(ending, "_wait_for", lambda *_: looks.append(1))
    # As at a signal, whose thread stops it, and beside it at the interpreter's end; and once more.
    signalled = threading.Thread(target=worker.stop)
    signalled.start()
    worker.stop()
    signalled.join()
    worker.stop()
    assert len(looks) == 2, "with its grace time, and interrupted"
    assert broker.counts()["work_queue"]["ready"] == 1
    free.set()
    broker.close()


@pytest.mark.parametrize("backend", ["embedded"], indirect=True)
def test_the_processes_of_a_command_that_was_killed_end_as_well(
    backend: Backend, broker: Broker, start_worker: StartWorker, notes: Callable[[], list[list[str]]]
) -> None:
    broker.declare_queue("work_queue")
    broker.enqueue(numbered("slow", 0, 1))
    worker = start_worker(processes=2)
    wait_until(lambda: notes(), "it works")
    children = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    worker.signal(signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in children), "they have ended")
    assert [words[1:] for words in notes()] == [["began", "0"], ["done", "0"]], "what ran came to its end"
