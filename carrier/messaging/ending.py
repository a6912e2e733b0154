"""How a process stops working: nothing new begins, what has not begun goes back at once, what runs gets its time.

Dramatiq gives prefetched messages back after the last running handler has ended, so that no other worker has them until
then; it takes the second of two signals, which is what a signal to the whole process group amounts to, for "kill"; and
its sleeps and time limits add up to seconds for a worker that has nothing to do.
"""

from __future__ import annotations

import atexit
import ctypes
import logging
import os
import signal
import sys
import threading
import time
import weakref
from dataclasses import dataclass, field
from queue import Empty
from types import FrameType
from typing import TYPE_CHECKING, Any

import dramatiq
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from dramatiq.middleware.shutdown import Shutdown
from dramatiq.middleware.threading import raise_thread_exception
from dramatiq.worker import ConsumerThread, Worker

from carrier.messaging.delivery import Delivery
from carrier.messaging.outcome import Back
from carrier.messaging.work import WorkQueue

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker
    from carrier.messaging.consumer import Consumer

logger = logging.getLogger(__name__)

#: Seconds that an interrupted handler has to come to its end, and that a consumer has to leave its connection.
_INTERRUPTED, _LEAVING = 2.0, 1.0
#: Seconds between two looks for messages that a consumer has handed on meanwhile.
_LOOK = 0.05
#: Of prctl(2).
_PR_SET_PDEATHSIG = 1


@dataclass(eq=False)
class _Stop:
    """How one worker is stopped: by the first thread that wants it to."""

    thread: threading.Thread = field(default_factory=threading.current_thread)
    over: threading.Event = field(default_factory=threading.Event)

    @property
    def is_over(self) -> bool:
        return self.over.is_set()

    def wait(self) -> None:
        """Wait until it is over, or its thread is."""
        if self.thread is not threading.current_thread():
            # At the interpreter's end the main thread still runs, though it counts as ended.
            while not self.over.wait(_LOOK) and (self.thread is threading.main_thread() or self.thread.is_alive()):
                pass


class Ending(Middleware):
    """Stops the workers of a broker, at a signal or when it is told to.

    Parameters:
        grace: seconds that running handlers have.
    """

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._workers: dict[Worker, threading.Event] = {}  # and whether each has booted
        self._stops: weakref.WeakKeyDictionary[Worker, _Stop] = weakref.WeakKeyDictionary()
        self._signalled = False
        self._guarded = self._exiting = False
        self._over = threading.Event()

    # Signals

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """In a worker process of Dramatiq's command, which ends with the process that has started it."""
        for number in (signal.SIGTERM, signal.SIGHUP):  # SIGHUP reloads: the command begins again after it
            self._chain(broker, number, at_once=True)
        _end_with_parent()

    def guard(self, broker: dramatiq.Broker) -> None:
        """In a process of somebody else's program that works in threads: at SIGTERM and at the interpreter's end.

        The program's own handler is called once the work has ended: it may end the process.
        """
        if self._guarded:
            return
        self._guarded = True
        atexit.register(self._at_exit)

        if threading.current_thread() is threading.main_thread():  # no other may set a signal's handler
            self._chain(broker, signal.SIGTERM, at_once=False)

    def _chain(self, broker: dramatiq.Broker, number: signal.Signals, *, at_once: bool) -> None:
        """Work ends at a signal. The handler that was there before is told at once, or when the work has ended."""
        previous = signal.getsignal(number)
        process = os.getpid()

        def on_signal(number: int, frame: FrameType | None) -> None:
            if os.getpid() != process:  # a child that the program has forked: nothing of ours runs in it
                _pass_on(previous, number, frame)
                return
            if self._exiting:
                return
            if self._over.is_set():
                if at_once or previous == signal.SIG_DFL:
                    raise SystemExit(0)
                _pass_on(previous, number, frame)
            if self._signalled:
                return  # the same signal again, to the group and from its leader, or by somebody in a hurry
            self._signalled = True
            if at_once:
                _pass_on(previous, number, frame)  # Dramatiq's own notes that the process is to end
                if not self._workers:  # it still starts
                    if _is_orphan():
                        os._exit(0)  # it would wait for ever for its parent to hear that it has started
                    return
            # A handler must not wait for locks that the interrupted code may hold: a thread does.
            arguments = broker, number, at_once
            try:
                threading.Thread(target=self._end, args=arguments, name="carrier-ending", daemon=True).start()
            except RuntimeError as error:  # no memory for one
                logger.error("work ends as the process does, without a thread that sees to it: %s", error)
                if not at_once:
                    _pass_on(previous, number, frame)

        signal.signal(number, on_signal)

    def _end(self, broker: dramatiq.Broker, number: int, close: bool) -> None:
        try:
            self.stop()
            if close:  # a program goes on sending
                broker.close()
        finally:
            self._over.set()
            # The main thread sleeps, or waits in a call that only a signal interrupts.
            signal.pthread_kill(threading.main_thread().ident or 0, number)

    def _at_exit(self) -> None:
        self._exiting = True  # the process ends as it is
        self.stop()

    def stop(self) -> None:
        """Stop all workers of the broker; returns when that is done."""
        for worker, booted in list(self._workers.items()):
            booted.wait()
            worker.stop()

    # A worker's life

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        if self._signalled:
            raise SystemExit(0)  # it was told to end while it started
        worker.work_queue = WorkQueue()  # type: ignore[assignment]  # what Dramatiq uses of a queue, it has
        self._workers[worker] = threading.Event()

    def after_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        self._workers[worker].set()

    def after_consumer_thread_boot(self, broker: dramatiq.Broker, thread: ConsumerThread) -> None:
        """Nothing is ever in Dramatiq's queue of delayed messages, and it is asked after each message."""
        thread.delay_queue = WorkQueue()  # type: ignore[assignment]  # as for the worker's own

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        """Give back at once. Whoever stops it beside us waits until we have."""
        stop = self._stops.setdefault(worker, _Stop())
        stop.wait()
        if not stop.is_over:
            _give_back(worker)

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        self._stops[worker].over.set()
        self._workers.pop(worker, None)

    def finish(self, broker: Broker, worker: Worker) -> None:
        """Once every middleware knows that the worker ends: wait for what runs, then interrupt it; then leave."""
        if self._stops[worker].is_over:
            return  # somebody else did, or we have before
        broker.lane.wake()
        if not _wait_for(worker, self._grace):
            busy = {thread.ident for thread in worker.workers}
            stuck = [delivery for ident, delivery in list(broker.handling.items()) if ident in busy]
            for delivery in stuck:
                logger.warning("%s did not end within %g s: it is interrupted, and goes back", delivery, self._grace)
                if delivery.run is not None:
                    raise_thread_exception(delivery.run.thread, Shutdown)
            if not _wait_for(worker, _INTERRUPTED):
                for delivery in stuck:
                    _back(delivery)
        _end_threads(worker)
        _leave(worker)


def _end_with_parent() -> None:
    """Have SIGTERM sent to this process when its parent dies: nobody would see to it, and end it, any more. Elsewhere
    than on Linux there is no such thing."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if _is_orphan():
            signal.raise_signal(signal.SIGTERM)  # it has died already


def _is_orphan() -> bool:
    import multiprocessing  # Dramatiq's command has it; who only sends does without

    parent = multiprocessing.parent_process()
    return parent is not None and parent.pid != os.getppid()


def _pass_on(handler: Any, number: int, frame: FrameType | None) -> None:
    if callable(handler):
        handler(number, frame)
    elif handler == signal.SIG_DFL:
        signal.signal(number, signal.SIG_DFL)
        signal.raise_signal(number)


def _give_back(worker: Worker) -> None:
    """Stop the worker's consumers from taking, and give back what no thread of it has begun."""
    for thread in worker.workers:
        thread.stop()  # it ends after the message that it handles
    for consumer_thread in list(worker.consumers.values()):
        consumer: Consumer | None = consumer_thread.consumer  # type: ignore[assignment]  # our broker makes ours
        if consumer is not None:
            consumer.stop()
    _empty(worker)


def _work(worker: Worker) -> WorkQueue:
    work: object = worker.work_queue
    if not isinstance(work, WorkQueue):
        raise TypeError(f"a worker that was not booted by its broker: {worker!r}")
    return work


def _empty(worker: Worker) -> None:
    work = _work(worker)
    while True:
        try:
            message = work.get_nowait().message
        except Empty:
            return
        if isinstance(message, Delivery):
            _back(message)
        work.task_done()


def _back(delivery: Delivery) -> None:
    delivery.outcome = Back()
    try:
        delivery.consumer.ack(delivery)
    except BrokerConnectionError as error:
        logger.info("%s goes back by itself: %s", delivery, error)


def _wait_for(worker: Worker, seconds: float) -> bool:
    """Wait until no thread of it handles anything; whether that is so in time."""
    until = time.monotonic() + seconds
    while True:
        _empty(worker)  # a consumer may just have been handing on
        left = until - time.monotonic()
        if _work(worker).wait(max(0.0, min(left, _LOOK))):
            return True
        if left <= 0:
            return False


def _end_threads(worker: Worker) -> None:
    """End the worker's threads, which tell the middleware so. One that cannot be interrupted is left behind."""
    until = time.monotonic() + _LEAVING
    _work(worker).wake(len(worker.workers))
    for thread in worker.workers:
        thread.join(max(0.0, until - time.monotonic()))
    worker.workers.clear()
    _empty(worker)


def _leave(worker: Worker) -> None:
    """End the consumers' threads. One that hangs in a connection is left behind: it dies with the process."""
    until = time.monotonic() + _LEAVING
    for thread in worker.consumers.values():
        thread.stop()
        consumer: Consumer | None = thread.consumer  # type: ignore[assignment]  # as above
        if consumer is not None:
            consumer.leave()
    for queue_name, thread in list(worker.consumers.items()):
        thread.join(max(0.0, until - time.monotonic()))
        if thread.is_alive():
            logger.info("the consumer of %s has no connection to leave", queue_name)
            del worker.consumers[queue_name]
