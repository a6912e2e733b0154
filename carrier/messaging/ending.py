"""A worker that ends gives back what it has not begun, before it waits for what runs.

Dramatiq gives prefetched messages back after the last running handler has ended; until then no other worker has them.
"""

from __future__ import annotations

import logging
import signal
import threading
from queue import Empty
from types import FrameType
from typing import TYPE_CHECKING

import dramatiq
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker

from carrier.messaging.delivery import Delivery
from carrier.messaging.outcome import Back

if TYPE_CHECKING:
    from carrier.messaging.consumer import Consumer

logger = logging.getLogger(__name__)


class Ending(Middleware):
    """At the signal that ends a worker process, and at ``Worker.stop``: take no more, and give back at once."""

    def __init__(self) -> None:
        self._workers: list[Worker] = []

    def after_process_boot(self, broker: dramatiq.Broker) -> None:
        """Before Dramatiq's own handler, which only sets a flag that is looked at once a second."""
        previous = signal.getsignal(signal.SIGTERM)

        def on_term(number: int, frame: FrameType | None) -> None:
            # A handler must not wait for locks that the interrupted code may hold: a thread does.
            threading.Thread(target=self._give_back_all, name="carrier-ending", daemon=True).start()
            if callable(previous):
                previous(number, frame)

        signal.signal(signal.SIGTERM, on_term)

    def before_worker_boot(self, broker: dramatiq.Broker, worker: Worker) -> None:
        self._workers.append(worker)

    def before_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        give_back(worker)

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: Worker) -> None:
        self._workers.remove(worker)

    def _give_back_all(self) -> None:
        for worker in list(self._workers):
            give_back(worker)


def give_back(worker: Worker) -> None:
    """Stop the worker's consumers from taking, and give back what no thread of it has begun."""
    for thread in worker.workers:
        thread.stop()  # it ends after the message that it handles
    for consumer_thread in list(worker.consumers.values()):
        consumer: Consumer | None = consumer_thread.consumer  # type: ignore[assignment]  # our broker makes ours
        if consumer is not None:
            consumer.stop()
    while True:
        try:
            message = worker.work_queue.get_nowait().message
        except Empty:
            return
        worker.work_queue.task_done()
        if isinstance(message, Delivery):
            message.outcome = Back()
            try:
                message.consumer.ack(message)
            except BrokerConnectionError as error:
                logger.info("%s goes back by itself: %s", message, error)
