"""A worker process tells how it is, every few seconds: what it handles, and how much it has done.

It tells its broker, and not the store: whoever looks need not share a store with the workers, and a worker that has
nothing to do loads no database.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from dramatiq.worker import Worker

from carrier.messaging.count import Count
from carrier.messaging.delivery import Delivery
from carrier.messaging.figures import Busy, WorkerFigures

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker

#: Seconds between two reports.
EVERY = 3.0
#: Handlers of which a report tells.
_BUSY = 20


class Reporting(Middleware):
    """For all workers of a broker in this process."""

    def __init__(self) -> None:
        self._workers: set[Worker] = set()
        self._ended = threading.Event()
        self._done, self._errors = Count(), Count()
        self._waits: dict[str, float] = {}
        self._started = 0.0

    def after_worker_boot(self, broker: Broker, worker: Worker) -> None:  # type: ignore[override]  # ours
        """Begin, with the first one."""
        self._workers.add(worker)
        if len(self._workers) == 1:
            self._started, self._ended = time.time(), threading.Event()
            self._done, self._errors = Count(), Count()
            arguments = broker, self._ended
            threading.Thread(target=self._run, args=arguments, name="carrier-reporting", daemon=True).start()

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # type: ignore[override]  # ours
        """End, with the last one."""
        self._workers.discard(worker)
        if not self._workers and not self._ended.is_set():
            self._ended.set()
            broker.report(self._figures(broker), ended=True)

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        """Note how long it has waited: since it was sent, or since its delay was over. Of a retry nobody knows."""
        if isinstance(message, Delivery) and message.envelope.attempt == 1:
            envelope, queue = message.envelope, message.consumer.queue_name
            eta = envelope.meta.get("eta")
            since = eta if isinstance(eta, int) else message.message_timestamp
            waited, waits = time.time() - since / 1000, self._waits
            if waited > waits.get(queue, 0.0):
                waits[queue] = waited

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """Count it."""
        if exception is None:
            self._done.add()
        else:
            self._errors.add()

    def _run(self, broker: Broker, ended: threading.Event) -> None:
        while True:
            try:
                broker.report(self._figures(broker))
            except BrokerConnectionError as error:
                broker.logger.debug("nobody is told how this worker is: %s", error)
            if ended.wait(EVERY):
                return

    def _figures(self, broker: Broker) -> WorkerFigures:
        workers, handling = tuple(self._workers), tuple(broker.handling.values())
        busy = [
            Busy(each.envelope.type[:100], each.envelope.id[:100], each.run.began)
            for each in handling
            if each.run is not None
        ]
        waits, self._waits = self._waits, {}
        return WorkerFigures(
            host=socket.gethostname(),
            process=os.getpid(),
            queues=sorted({name for worker in workers for name in tuple(worker.consumers)}),
            threads=sum(len(worker.workers) for worker in workers),
            running=len(busy),
            busy=sorted(busy, key=lambda each: each.since)[:_BUSY],
            done=self._done.read(),
            errors=self._errors.read(),
            waits={queue: round(seconds, 3) for queue, seconds in tuple(waits.items())},
            memory=_memory(),
            started=self._started,
            at=time.time(),
        )


def _memory() -> int | None:
    """Bytes of this process in RAM, where the kernel says so (proc(5): statm)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return None
    return pages * os.sysconf("SC_PAGE_SIZE")
