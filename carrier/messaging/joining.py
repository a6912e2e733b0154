"""What tests of applications need of a broker: to wait until it is idle, to empty it, and to count."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

from dramatiq.errors import QueueJoinTimeout, QueueNotFound

from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.hooks import HookedBroker
from carrier.messaging.walk import Walk


class Joining(HookedBroker):
    """``join``, ``flush`` and counts, as those of Dramatiq's StubBroker.

    Attributes:
        fail_fast_default: keep the errors of messages that fail, for :meth:`join` to raise.
        look_every: seconds between two looks of :meth:`join`.
    """

    look_every = 0.01

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.queues: set[str] = set()
        self.fail_fast_default = False
        self._errors: dict[str, BaseException] = {}  # the first of each queue

    @abstractmethod
    def walk(self, queue_name: str) -> Walk:
        """Go through the messages of a queue where they lie.

        Raises:
            BrokerUnavailable: the broker cannot be reached, or somebody else goes through the queue for ten minutes.
        """

    def flush(self, queue_name: str) -> None:
        """Drop all that waits in a queue, and what is delayed for it; failed messages stay."""
        self.drop({queue_name})

    def flush_all(self) -> None:
        """Drop all that waits in any declared queue, as :meth:`flush` does."""
        self.drop(self.queues)
        self._errors.clear()

    @abstractmethod
    def drop(self, queues: set[str]) -> None:
        """Drop what waits in these queues and what is delayed for them."""

    def join(self, queue_name: str, *, timeout: int | None = None, fail_fast: bool | None = None) -> None:
        """Wait until nothing of a queue waits, is delayed or is being handled.

        Parameters:
            timeout: milliseconds.
            fail_fast: raise the error of the first message of it that has failed; ``fail_fast_default`` without it.

        Raises:
            QueueNotFound: it was never declared.
            QueueJoinTimeout: it was not so in time.
            ValueError: errors are not kept, as ``fail_fast_default`` is not set.
        """
        self._known(queue_name)
        if fail_fast and not self.fail_fast_default:
            raise ValueError("set fail_fast_default on the broker: without it the errors of messages are not kept")
        until = None if timeout is None else time.monotonic() + timeout / 1000
        with self.idle(queue_name) as is_idle:
            while not is_idle():
                if until is not None and time.monotonic() >= until:
                    raise QueueJoinTimeout(queue_name)
                time.sleep(self.look_every)  # nobody is told when a queue is empty
        if self.fail_fast_default and fail_fast is not False and queue_name in self._errors:
            raise self._errors.pop(queue_name)

    @abstractmethod
    def idle(self, queue_name: str) -> AbstractContextManager[Callable[[], bool]]:
        """Something to ask whether nothing of a queue waits, is delayed or is being handled."""

    def get_queue_message_counts(self, queue_name: str) -> tuple[int, int, int]:
        """How many messages of a queue wait or run, are delayed (see :meth:`counts_of`), and have failed."""
        waiting, delayed = self.counts_of(queue_name)
        with self.walk(FAILED_QUEUE) as failed:
            return (
                waiting,
                delayed,
                sum(stored.record().get("queue") == queue_name for stored in failed),
            )

    @abstractmethod
    def counts_of(self, queue_name: str) -> tuple[int, int]:
        """How many messages of a queue wait or are being handled, and how many are delayed (on RabbitMQ, which does not
        say for which queue: of all)."""

    def note_failure(self, queue_name: str, error: BaseException | None) -> None:
        """Keep an error for :meth:`join`; in a test, as it holds what its handler had in hand."""
        if self.fail_fast_default:
            self._errors.setdefault(queue_name, error or RuntimeError("a message has failed"))

    def _known(self, queue_name: str) -> None:
        if queue_name not in self.queues:
            raise QueueNotFound(queue_name)
