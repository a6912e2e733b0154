"""A handler that was begun and never ended is an attempt: its worker has died in it.

Without this a message that kills its worker comes back for ever. What was only prefetched beside it is not charged. A
message whose last attempt was a death runs alone; a death beside others is charged, but ends no message.
"""

from __future__ import annotations

import threading

import dramatiq
from dramatiq.broker import MessageProxy
from dramatiq.middleware import Middleware, SkipMessage

from carrier.messaging.delivery import Delivery, Run
from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import WORKER_DIED
from carrier.messaging.outcome import Back, Later

#: Milliseconds after which a message that could not run alone is handed out again.
_PUT_OFF = 10_000


class Deaths(Middleware):
    """Notes what begins, and keeps apart what may kill its worker.

    First in the list, so that a message's own limits of time begin when its turn has come.
    """

    def before_process_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        if not isinstance(message, Delivery):
            return
        ours = message.consumer.broker
        thread = threading.current_thread()

        def stopped() -> bool:
            # Dramatiq's worker threads say so; a message that has lost its connection is handed out again anyway.
            return not getattr(thread, "running", True) or message.consumer.is_lost()

        alone = is_suspect(message.envelope)
        if ours.lane.enter(alone=alone, stopped=stopped):
            message.run = run = Run(threading.get_ident(), alone, message.consumer.begin(message))
            ours.handling[run.thread] = message
            return
        message.outcome = Back() if stopped() else Later(_PUT_OFF)
        raise SkipMessage("its turn did not come")

    def after_process_message(
        self,
        broker: dramatiq.Broker,
        message: MessageProxy,
        *,
        result: object = None,
        exception: BaseException | None = None,
    ) -> None:
        if isinstance(message, Delivery) and message.run is not None:
            message.consumer.broker.lane.leave(alone=message.run.alone)

    def after_skip_message(self, broker: dramatiq.Broker, message: MessageProxy) -> None:
        self.after_process_message(broker, message)  # a handler may skip its own message


def is_suspect(envelope: Envelope) -> bool:
    """Whether its last attempt ended with its worker."""
    attempts = envelope.meta.get("attempts")
    last = attempts[-1] if attempts else None
    return isinstance(last, dict) and last.get("error") == WORKER_DIED
