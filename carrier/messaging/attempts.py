"""Retries, in the place of Dramatiq's: an error becomes an outcome on the delivery, and nothing is published here.

Dramatiq's own middleware publishes the retry from a hook whose errors are swallowed, and the original is acknowledged
all the same: a retry that cannot be published is lost.
"""

from __future__ import annotations

import logging
import random
import time
from typing import Any, Self

from dramatiq.actor import Actor
from dramatiq.broker import Broker, MessageProxy
from dramatiq.errors import Retry
from dramatiq.middleware import Retries
from dramatiq.middleware.retries import DEFAULT_MAX_BACKOFF
from dramatiq.middleware.shutdown import Shutdown

from carrier.messaging.deferral import defer
from carrier.messaging.delivery import Delivery
from carrier.messaging.encoder import attempts_of
from carrier.messaging.envelope import ENDLESS, MAX_DELAY_MS, Envelope
from carrier.messaging.errors import Deferred, PermanentError, TemporaryError
from carrier.messaging.failure import attempt_record, failure_of, traceback_of
from carrier.messaging.outcome import Again, Back, Failed, Outcome


class _WithoutExpected(logging.Filter):
    """A PermanentError says what is wrong and what to do. Its traceback, which lies in failed_queue, is not logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.exc_info is None or not isinstance(record.exc_info[1], PermanentError)


logging.getLogger("dramatiq.worker.WorkerThread").addFilter(_WithoutExpected())


class Attempts(Retries):
    """Takes the options of Dramatiq's Retries, and ``max_attempts``, which counts the first attempt too."""

    def take_over(self, retries: Retries) -> Self:
        """Have the limits that an application has given to Dramatiq's own."""
        self.max_retries, self.retry_when = retries.max_retries, retries.retry_when
        self.min_backoff, self.max_backoff = retries.min_backoff, retries.max_backoff
        return self

    @property
    def actor_options(self) -> set[str]:
        return {*super().actor_options, "max_attempts"}

    def limit(self, actor: Actor[Any, Any] | None) -> int:
        """How many attempts a message has that does not say it itself."""
        attempts = attempts_of(actor.options) if actor else None
        if attempts is None:
            # None means without end, though Dramatiq does not type it so.
            retries: int | None = self.max_retries
            attempts = ENDLESS if retries is None else retries + 1
        return attempts

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: Any = None, exception: BaseException | None = None
    ) -> None:
        """Decide what becomes of a message whose handler raised, unless somebody else has."""
        if exception is None or not isinstance(message, Delivery) or message.outcome is not None or message.failed:
            return
        message.outcome = self._decide(broker, message, exception)
        match message.outcome:
            case Failed():
                if isinstance(exception, PermanentError):
                    self.logger.error("%s has failed for good: %s", message, exception)
                message.fail()  # Dramatiq then calls the hooks of a rejected message
            case Again(delay):
                if isinstance(exception, Retry):  # of which Dramatiq says nothing
                    attempt = message.envelope.attempt
                    self.logger.warning(
                        "%s: attempt %d: %s; again in %.0f s", message, attempt, exception, delay / 1000
                    )
                broker.emit_before("enqueue", message, delay)  # and "after" once it is stored

    def _decide(self, broker: Broker, delivery: Delivery, error: BaseException) -> Outcome:
        if isinstance(error, Shutdown):
            return Back()
        envelope, queue = delivery.envelope, delivery.consumer.queue_name
        actor = broker.actors.get(delivery.actor_name)
        options = {**(actor.options if actor else {}), **delivery.options}

        def failed(reason: str) -> Failed:
            return Failed(failure_of(envelope, error, reason=reason, queue=queue))

        if isinstance(error, Deferred):
            return defer(envelope, error) or failed("deferred for too long")
        throws = options.get("throws")
        if isinstance(error, PermanentError) or (throws and isinstance(error, throws)):
            return failed("permanent error")
        retries = envelope.attempt - 1
        delivery.options["retries"] = retries + 1
        delivery.options["traceback"] = traceback_of(error)
        delivery.options["requeue_timestamp"] = int(time.time() * 1000)
        retry_when = options.get("retry_when") or self.retry_when
        over = not retry_when(retries, error) if callable(retry_when) else envelope.attempt >= envelope.max_attempts
        if over:
            self._tell_of_exhaustion(broker, delivery, options.get("on_retry_exhausted"), retries)
            return failed("attempts exhausted")
        delay = error.delay if isinstance(error, Retry) else None
        if delay is None:
            least = error.least if isinstance(error, TemporaryError) else 0
            delay = max(least, self._backoff(retries, options))
        return Again(max(0, min(int(delay), MAX_DELAY_MS)), attempt_record(envelope.attempt, error))

    def backoff(self, actor: Actor[Any, Any] | None, envelope: Envelope) -> int:
        """Milliseconds until the next attempt of a message, by its options and its actor's."""
        options = {**(actor.options if actor else {}), **envelope.meta.get("options", {})}
        return self._backoff(envelope.attempt - 1, options)

    def _backoff(self, retries: int, options: dict[str, Any]) -> int:
        """Milliseconds until the next attempt: random between min_backoff and its double for each retry so far."""
        least = min(_milliseconds(options.get("min_backoff"), self.min_backoff), DEFAULT_MAX_BACKOFF)
        most = min(_milliseconds(options.get("max_backoff"), self.max_backoff), DEFAULT_MAX_BACKOFF)
        # 2**32 times anything is above the most.
        upper = max(least, min(least * 2 ** min(retries + 1, 32), most))
        return round(random.uniform(least, upper))  # noqa: S311  (not a secret)

    def _tell_of_exhaustion(self, broker: Broker, delivery: Delivery, target: Any, retries: int) -> None:
        if not target:
            return
        if isinstance(target, str) and target in broker.actors:
            about = {"retries": retries, "max_retries": delivery.envelope.max_attempts - 1}
            broker.actors[target].send(delivery.asdict(), about)
        else:
            self.logger.error("%s: on_retry_exhausted names %r, which is no actor here", delivery, target)


def _milliseconds(given: Any, default: int) -> int:
    """An option that may have come off the wire."""
    return given if isinstance(given, int) and not isinstance(given, bool) and given >= 0 else default
