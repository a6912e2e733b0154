"""Dramatiq's middleware and people's own do what they do on stock Dramatiq, on both brokers."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable
from typing import Any

import dramatiq
import pytest
from dramatiq import group, pipeline
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import CurrentMessage, GroupCallbacks, Middleware, Retries, SkipMessage
from dramatiq.rate_limits.backends import StubBackend as StubLimits
from dramatiq.results import ResultFailure, ResultMissing, Results
from dramatiq.results.backends import StubBackend as StubResults
from pydantic import BaseModel

import carrier
from carrier.messaging.broker import Broker
from tests.contract.backend import Backend
from tests.contract.conftest import StartWorker, Working, numbered
from tests.servers.ports import free_port
from tests.waiting import wait_until

QUICKLY = {"min_backoff": 10, "max_backoff": 20}


# People's own


HOOKS = [name for name in vars(Middleware) if name.startswith(("before_", "after_"))]


class Recorder(Middleware):
    """Notes each hook that is called, and of which message."""

    def __init__(self, name: str, events: list[tuple[str, str, str]]) -> None:
        for hook in HOOKS:
            setattr(self, hook, self._noting(hook, name, events))

    @staticmethod
    def _noting(hook: str, name: str, events: list[tuple[str, str, str]]) -> Callable[..., None]:
        def note(broker: dramatiq.Broker, subject: Any = None, *_: Any, **outcome: Any) -> None:
            about = ""
            if hasattr(subject, "message_id"):
                about = f"{subject.actor_name}{subject.args}{subject.kwargs} on {subject.queue_name}"
                assert subject.message_timestamp <= time.time() * 1000
                assert isinstance(subject.options, dict)
            if outcome:
                about += f" {outcome.get('result')} {type(outcome.get('exception')).__name__}"
            events.append((hook, name, about))

        return note


class Bouncer(Middleware):
    """Turns messages away before they begin."""

    def before_process_message(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
        if message.kwargs.get("way") == "skip":
            raise SkipMessage("not today")
        if message.kwargs.get("way") == "fail":
            message.fail()


def one_life(broker: dramatiq.Broker, way: str) -> list[tuple[str, str, str]]:
    """The hooks of a broker, of a worker and of one message that goes one way."""
    events: list[tuple[str, str, str]] = []
    for middleware in (Recorder("outer", events), Bouncer(), Recorder("inner", events)):
        broker.add_middleware(middleware)

    @dramatiq.actor(broker=broker, max_retries=0, queue_name="life")
    def take(n: int, *, way: str) -> int | None:
        if way == "raise":
            raise RuntimeError("no")
        return None

    take.send(7, way=way)
    worker = dramatiq.Worker(broker, worker_threads=1, worker_timeout=100)
    worker.start()
    wait_until(lambda: any(hook in ("after_ack", "after_nack") for hook, _, _ in events), "it is settled")
    worker.stop()
    return events


@pytest.mark.parametrize("way", ["end well", "raise", "skip", "fail"])
def test_every_hook_is_called_as_on_stock_dramatiq(broker: Broker, way: str) -> None:
    stock, ours = one_life(StubBroker(), way), one_life(broker, way)
    of_the_message = [[each for each in events if "take" in each[2]] for events in (stock, ours)]
    assert of_the_message[1] == of_the_message[0]
    assert of_the_message[1], "there are some"
    # Threads boot and end in any order.
    others = [{each for each in events if "take" not in each[2]} for events in (stock, ours)]
    assert others[1] == {each for each in others[0] if each[0] != "after_declare_delay_queue"}


def test_what_no_handler_can_have_is_told_as_rejected(broker: Broker, backend: Backend, working: Working) -> None:
    results, events = StubResults(), []

    class Listener(Middleware):
        def after_nack(self, broker: dramatiq.Broker, message: dramatiq.MessageProxy) -> None:
            events.append((message.actor_name, type(message._exception).__name__))

    broker.add_middleware(Listener())
    broker.add_middleware(Results(backend=results, store_results=True))

    class Number(BaseModel):
        n: int

    known = carrier.actor("known", queue="default", payload=Number)(lambda message: None)
    sent = known.message(1).copy(kwargs={"n": "none"})
    broker.enqueue(sent)
    broker.enqueue(dramatiq.Message("default", "unknown", (), {}, {}))
    with working():
        wait_until(lambda: len(events) == 2, "both are told of")
        with pytest.raises(ResultFailure):
            sent.get_result(backend=results, block=True)
    assert sorted(events) == [("known", "ValidationError"), ("unknown", "UnknownMessageType")]
    assert len(backend.failures()) == 2


def test_a_retry_is_told_of_before_it_is_sent_and_once_it_is_stored(
    broker: Broker, backend: Backend, working: Working
) -> None:
    told: list[Any] = []

    class Tracer(Middleware):
        def before_enqueue(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
            message.options["trace"] = len(told)
            told.append(("before", message.options.get("retries"), delay and delay > 0))

        def after_enqueue(self, broker: dramatiq.Broker, message: Any, delay: int | None) -> None:
            told.append(("after", message.options.get("retries"), delay and delay > 0))

    broker.add_middleware(Tracer())
    seen = []

    @dramatiq.actor(broker=broker, max_retries=1, min_backoff=100, max_backoff=100)
    def fail() -> None:
        message: Any = CurrentMessage.get_current_message()
        seen.append((message.options["trace"], message.options.get("requeue_timestamp", 0) > 0))
        raise RuntimeError("no")

    fail.send()
    with working():
        wait_until(backend.failures, "it has failed for good")
    assert told == [("before", None, None), ("after", None, None), ("before", 1, True), ("after", 1, True)]
    assert seen == [(0, False), (2, True)], "what a middleware writes into the options travels with the retry"


def test_what_fails_in_peoples_own_middleware_harms_no_message(broker: Broker, working: Working) -> None:
    class Broken(Middleware):
        def __getattribute__(self, name: str) -> Any:
            if name.startswith(("before_", "after_")) and "declare" not in name:
                return self._fail
            return super().__getattribute__(name)

        def _fail(self, *args: Any, **kwargs: Any) -> None:
            raise RuntimeError("broken")

    broker.add_middleware(Broken())
    done = []
    take = dramatiq.actor(done.append, broker=broker, actor_name="take")
    take.send(1)
    with working():
        broker.join("default", timeout=20_000)
    assert done == [1]
    assert broker.get_queue_message_counts("default") == (0, 0, 0)


@pytest.mark.parametrize("way", ["given", "added"])
def test_dramatiqs_retries_are_taken_over(backend: Backend, working: Working, way: str) -> None:
    retries = Retries(max_retries=1, **QUICKLY)
    broker = backend.broker(middleware=[retries]) if way == "given" else backend.broker()
    if way == "added":
        broker.add_middleware(retries)
    tried = []

    @dramatiq.actor(broker=broker)
    def fail() -> None:
        tried.append(1)
        raise RuntimeError("no")

    fail.send()
    with working(broker):
        broker.join("default", timeout=20_000)
    assert len(tried) == 2
    assert broker.get_queue_message_counts("default") == (0, 0, 1)
    broker.close()


def test_a_retries_of_ones_own_sends_once_what_it_sends(broker: Broker, backend: Backend, working: Working) -> None:
    class Thrice(Retries):
        def after_process_message(
            self, broker: Any, message: Any, *, result: Any = None, exception: Any = None
        ) -> None:
            if exception is not None and message.options.get("retries", 0) < 2:
                broker.enqueue(message.copy(options={"retries": message.options.get("retries", 0) + 1}), delay=50)
            elif exception is not None:
                message.fail()

    broker.add_middleware(Thrice())
    tried = []

    @dramatiq.actor(broker=broker)
    def fail() -> None:
        tried.append(1)
        raise RuntimeError("no")

    fail.send()
    with working():
        broker.join("default", timeout=20_000)
    assert len(tried) == 3
    assert len(backend.failures()) == 1


# What follows a message


def test_callbacks_and_pipelines_go_out_with_the_outcome(broker: Broker, backend: Backend, working: Working) -> None:
    got: list[Any] = []

    @dramatiq.actor(broker=broker)
    def add(a: int, b: int) -> int:
        return a + b

    @dramatiq.actor(broker=broker)
    def keep(value: int = 0) -> None:
        got.append(value)

    @dramatiq.actor(broker=broker)
    def told(message: dict[str, Any], result: Any) -> None:
        got.append((message["actor_name"], result))

    @dramatiq.actor(broker=broker, max_retries=0, on_failure="told")
    def fail() -> None:
        raise RuntimeError("no")

    pipeline([add.message(1, 2), add.message(10), keep.message_with_options(delay=100)]).run()
    pipeline([add.message(1, 1), keep.message_with_options(pipe_ignore=True)]).run(delay=100)
    add.send_with_options(args=(1, 1), on_success=told)
    fail.send()
    with working():
        wait_until(lambda: len(got) == 4, "all have come")
        wait_until(backend.failures, "the failing one lies in failed_queue")
    assert sorted(map(str, got)) == sorted(
        ["13", "0", "('add', 2)", str(("fail", {"type": "RuntimeError", "message": "no"}))]
    )


@pytest.mark.parametrize("why", ["its result is no JSON", "there is no such actor"])
def test_what_cannot_be_followed_has_failed(broker: Broker, backend: Backend, working: Working, why: str) -> None:
    heard: list[Any] = []

    class Listener(Middleware):
        def after_process_message(
            self, broker: Any, message: Any, *, result: Any = None, exception: BaseException | None = None
        ) -> None:
            heard.append(exception)

    broker.add_middleware(Listener(), before=dramatiq.middleware.Callbacks)

    @dramatiq.actor(broker=broker)
    def make() -> Any:
        return object() if why == "its result is no JSON" else 1

    @dramatiq.actor(broker=broker)
    def keep(value: Any) -> None:
        raise AssertionError("nothing is sent")

    if why == "its result is no JSON":
        (make.message() | keep.message()).run()
    else:
        make.send_with_options(on_success="nobody")
    with working():
        broker.join("default", timeout=20_000)
    (failure,) = backend.failures()
    assert failure["reason"] == "what follows cannot be sent"
    assert type(heard[0]).__name__ == failure["error"].rpartition(".")[2]


def test_group_callbacks(broker: Broker, working: Working) -> None:
    broker.add_middleware(GroupCallbacks(StubLimits()))
    got: list[Any] = []

    @dramatiq.actor(broker=broker)
    def part(n: int) -> None:
        got.append(n)

    @dramatiq.actor(broker=broker)
    def whole(word: str) -> None:
        got.append(word)

    parts = group(
        [part.message(1), part.message(2), part.message(3) | part.message_with_options(pipe_ignore=True, args=(4,))]
    )
    parts.add_completion_callback(whole.message("whole"))
    parts.run()
    with working():
        broker.join("default", timeout=20_000)
    assert sorted(got[:-1]) == [1, 2, 3, 4]
    assert got[-1] == "whole"


def test_results(broker: Broker, working: Working) -> None:
    backend = StubResults()
    broker.add_middleware(Results(backend=backend))
    release = threading.Event()

    class Releasing(Middleware):
        def before_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
            release.set()  # what is not begun has been given back by now

    broker.add_middleware(Releasing())

    @dramatiq.actor(broker=broker, store_results=True)
    def add(a: int, b: int) -> int:
        return a + b

    @dramatiq.actor(broker=broker, store_results=True, max_retries=1, **QUICKLY)
    def fail() -> None:
        raise RuntimeError("no")

    @dramatiq.actor(broker=broker, store_results=True)
    def hold() -> str:
        assert release.wait(30)
        return "held"

    total, failed = add.send(1, 2), fail.send()
    chain = (add.message(1, 2) | add.message(4)).run()
    both = group([add.message(1, 1), add.message(2, 2)]).run()
    with working(threads=1) as worker:
        assert total.get_result(block=True) == 3
        with pytest.raises(ResultFailure, match="no"):
            failed.get_result(block=True)
        assert chain.get_result(block=True) == 7
        assert sorted(both.get_results(block=True)) == [2, 4]
        held = hold.send()
        wait_until(lambda: broker.handling, "one runs")
        unbegun = hold.send()
        wait_until(worker.work_queue.qsize, "another is in hand")
    assert held.get_result() == "held"
    with pytest.raises(ResultMissing):
        unbegun.get_result()


def test_a_handler_knows_its_message(broker: Broker, working: Working) -> None:
    broker.add_middleware(CurrentMessage())  # it is there already
    seen = []

    @dramatiq.actor(broker=broker)
    def look() -> None:
        message: Any = CurrentMessage.get_current_message()
        seen.append((message.message_id, message.actor_name, message.queue_name, message.options["tenant"]))

    sent = look.send_with_options(tenant={"id": 7})
    with working():
        broker.join("default", timeout=20_000)
    assert seen == [(sent.message_id, "look", "default", {"id": 7})]


def test_prometheus(broker: Broker, start_worker: StartWorker, tmp_path: Any) -> None:
    port = free_port()
    broker.enqueue(numbered("quick", 1))
    broker.enqueue(numbered("broken", 2, max_attempts=3))
    start_worker(
        METRICS="yes", dramatiq_prom_host="127.0.0.1", dramatiq_prom_port=str(port), dramatiq_prom_db=str(tmp_path)
    )

    def metrics() -> set[str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
                return {line for line in answer.read().decode().splitlines() if "_total{" in line}
        except OSError:
            return set()

    def counted(name: str, actor: str, count: int) -> str:
        return f'dramatiq_{name}_total{{actor_name="{actor}",queue_name="work_queue"}} {count}.0'

    wanted = {
        counted("messages", "quick", 1),
        counted("messages", "broken", 3),
        counted("message_errors", "broken", 3),
        counted("message_retries", "broken", 2),
        counted("message_rejects", "broken", 1),
    }
    wait_until(lambda: wanted <= metrics(), "all of it is counted")
