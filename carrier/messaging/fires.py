"""The fire times of schedules, in the hands of a worker: each is run by one of the messages that were sent for it.

A scheduler that dies between sending and saying so is followed by one that sends again. RabbitMQ does not know that it
has such a message already, so the worker asks the fire time's row, and says in it what becomes of it.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
import time
from collections.abc import Callable
from typing import Any

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, SkipMessage

from carrier.messaging.delivery import Delivery
from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import Failure, worker_name
from carrier.messaging.outcome import Back, Done, Dropped, Later
from carrier.store.errors import StoreUnavailable
from carrier.store.turn import DONE, FAILED, RETRYING, SENT, Holder, Turn, Verdict

logger = logging.getLogger(__name__)

#: Of an envelope's ``meta``: the fire time, who ran it when it was put off, and how often it was sent back by hand.
FIRE, _SEEN, RETURNED = "fire", "seen", "returned"
#: Seconds between two beats of a worker that runs one, and milliseconds for which a message is put off.
_BEAT, _PUT_OFF = 5.0, 15_000


#: Told of each message of a schedule that is done or has finally failed: which it is, and the seconds it took.
Listener = Callable[[Envelope, str, float | None], None]


class Fires(Middleware):
    """Claims the row of a fire time before its handler begins; what has no row is run.

    Attributes:
        listeners: their errors harm nothing.
    """

    def __init__(self) -> None:
        self.listeners: list[Listener] = []
        self._process: _Process | None = None
        self._lock = threading.Lock()

    def _own(self) -> _Process:
        with self._lock:
            if self._process is None or self._process.pid != os.getpid():
                self._process = _Process()
            return self._process

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if not isinstance(message, Delivery) or FIRE not in message.envelope.meta:
            return
        from carrier.store import fires  # only workers of scheduled messages need SQLAlchemy

        id_, turn, own = message.envelope.id, turn_of(message.envelope), self._own()
        try:
            answer = fires.claim(id_, turn, own.owner, worker_name(), _seen(message.envelope))
        except StoreUnavailable as error:
            logger.warning("%s is put off: %s", message, error)
            message.outcome = Later(_PUT_OFF)
            raise SkipMessage("its fire time could not be claimed") from None
        if isinstance(answer, Holder):
            logger.info("%s is put off: another worker has begun it", message)
            message.outcome = Later(_PUT_OFF, {_SEEN: [answer.owner, answer.beat]})
            raise SkipMessage("another worker has it")
        if answer is Verdict.DROP:
            logger.info("%s is a copy of one that was handled", message)
            message.outcome = Dropped()
            raise SkipMessage("a copy")
        own.begin(id_)

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        """It is done before it is acknowledged; that it has failed is said once its next place is safe."""
        if not isinstance(message, Delivery) or FIRE not in message.envelope.meta:
            return
        own = self._own()
        match message.decide():
            case Done():
                own.end(message.envelope, DONE, by=own.owner)
                self._tell(message.envelope, DONE, time.time() - message.run.began if message.run else None)
            case Back() | Later():
                own.end(message.envelope, SENT, by=own.owner)
            case _:
                own.rest(message.envelope.id)

    def after_skip_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.after_process_message(broker, message)

    def retried(self, envelope: Envelope, error: str) -> None:
        """Its next attempt is stored, perhaps by another worker than the one that has died in it."""
        if FIRE in envelope.meta:
            self._own().end(envelope, RETRYING, error)

    def failed(self, envelope: Envelope | None, failure: Failure) -> None:
        """It lies in failed_queue."""
        if envelope is not None and FIRE in envelope.meta:
            self._own().end(envelope, FAILED, f"{failure.error}: {failure.message}")
            self._tell(envelope, FAILED, None)

    def _tell(self, envelope: Envelope, state: str, seconds: float | None) -> None:
        for listener in self.listeners:
            try:
                listener(envelope, state, seconds)
            except Exception:
                logger.exception("a listener failed")


class _Process:
    """What this process runs."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self.owner = secrets.token_hex(16)
        self._running: set[str] = set()
        self._unsaid: list[Callable[[], None]] = []
        self._wake = threading.Condition()
        threading.Thread(target=self._run, name="carrier-fires", daemon=True).start()

    def begin(self, id_: str) -> None:
        """Its handler begins."""
        with self._wake:
            self._running.add(id_)
            self._wake.notify()

    def rest(self, id_: str) -> None:
        """Its handler has ended: nobody beats for it any more."""
        with self._wake:
            self._running.discard(id_)

    def end(self, envelope: Envelope, state: str, error: str | None = None, by: str | None = None) -> None:
        """Say what has become of it, now or when the store can be used again. What goes wrong harms no message."""
        self.rest(envelope.id)
        id_, turn = envelope.id, turn_of(envelope)

        def say() -> None:
            from carrier.store import fires

            fires.end(id_, turn, by, state, error)

        try:
            say()
        except StoreUnavailable as trouble:
            logger.warning("that %s is %s is said later: %s", id_, state, trouble)
            with self._wake:
                self._unsaid.append(say)
                self._wake.notify()
        except Exception:
            logger.exception("it cannot be said that %s is %s", id_, state)

    def _run(self) -> None:
        while True:
            with self._wake:
                self._wake.wait_for(lambda: self._running or self._unsaid)
                self._wake.wait(_BEAT)
                running, unsaid = list(self._running), list(self._unsaid)
            from carrier.store import fires

            try:
                fires.beat(self.owner, running)
                for say in unsaid:
                    say()
                    self._unsaid.remove(say)
            except StoreUnavailable as error:
                logger.warning("what runs of schedules cannot be said: %s", error)


def turn_of(envelope: Envelope) -> Turn:
    """Which try of its fire time a message is."""
    returned = envelope.meta.get(RETURNED, 0)
    return Turn(returned if isinstance(returned, int) and 0 <= returned < 2**31 else 0, envelope.attempt)


def _seen(envelope: Envelope) -> Holder | None:
    found: Any = envelope.meta.get(_SEEN)
    if isinstance(found, list) and len(found) == 2 and isinstance(found[0], str) and isinstance(found[1], int):
        return Holder(found[0], found[1])
    return None
