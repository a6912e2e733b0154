"""One message of failed_queue, as people see it."""

from __future__ import annotations

import inspect
import json
from dataclasses import replace
from typing import Any

from carrier.messaging.broker import Broker
from carrier.messaging.deferral import DEFERRED
from carrier.messaging.envelope import Envelope
from carrier.messaging.event import Event, event_of
from carrier.messaging.fires import FIRE, RETURNED, turn_of
from carrier.messaging.outgoing import Outgoing, outgoing
from carrier.messaging.walk import Stored, digest
from carrier.monitor.masking import masking

#: Of an envelope's ``meta``: what the failed attempts left there. An ``eta`` stays, it says that its delay is over.
_OF_THE_FAILURE = ("failure", "attempts", "attempt", DEFERRED)
#: The fingerprint of what lies there without a record of its failure.
UNRECORDED = "unrecorded"


class FailedMessage:
    """One message of failed_queue.

    Attributes:
        broker: where it lies.
    """

    __slots__ = ("_envelope", "_failure", "_is_read", "broker", "stored")

    def __init__(self, stored: Stored, broker: Broker) -> None:
        self.stored = stored
        self.broker = broker
        self._failure: dict[str, Any] | None = None
        self._envelope: Envelope | None = None
        self._is_read = False

    # Either is read when it is first asked for: of very many, only the one or the other is.

    @property
    def failure(self) -> dict[str, Any]:
        """The whole record; empty where there is none."""
        if self._failure is None:
            self._failure = self.stored.record()
        return self._failure

    @property
    def envelope(self) -> Envelope | None:
        """None when the body is not one."""
        if not self._is_read:
            self._envelope, self._is_read = self.stored.envelope(), True
        return self._envelope

    @property
    def id(self) -> str:
        """The message's, or ``raw-…``, made from its bytes, for one that has none."""
        return self.envelope.id if self.envelope else f"raw-{digest(self.stored.body)[:8].hex()}"

    @property
    def type(self) -> str:
        """The message's; empty where it is none."""
        return self.envelope.type if self.envelope else ""

    @property
    def queue(self) -> str:
        """Where it came from; empty where nobody wrote that down."""
        return _text(self.failure, "queue")

    @property
    def error(self) -> str:
        """The name of its last error."""
        return _text(self.failure, "error")

    @property
    def message(self) -> str:
        """What its last error said."""
        return _text(self.failure, "message")

    @property
    def attempts(self) -> int:
        """How often a handler has failed on it."""
        attempts = self.failure.get("attempts")
        return len(attempts) if isinstance(attempts, list) else 0

    @property
    def failed_at(self) -> str:
        """When its last attempt failed."""
        return _text(self.failure, "last_at")

    @property
    def fingerprint(self) -> str:
        """Equal for failures of one cause."""
        return _text(self.failure, "fingerprint") or UNRECORDED

    @property
    def identity(self) -> bytes:
        """What tells it from every other one: see :attr:`Stored.identity`."""
        return self.stored.identity

    @property
    def records(self) -> list[dict[str, Any]]:
        """Those of its attempts; what a stranger wrote in their place is left out."""
        attempts = self.failure.get("attempts")
        return [each for each in attempts if isinstance(each, dict)] if isinstance(attempts, list) else []

    @property
    def place(self) -> str:
        """Where in the application's code it failed."""
        return _text(self.failure, "place")

    @property
    def first_at(self) -> str:
        """When its first attempt failed."""
        return _text(self.failure, "first_at") or self.failed_at

    @property
    def reached_a_handler(self) -> bool:
        """Whether its failure stands in the message; otherwise its bytes are as they came, the failure beside them."""
        return self.stored.failure is None and self.envelope is not None and "failure" in self.envelope.meta

    def summary(self) -> dict[str, Any]:
        """What a list shows of it, as JSON has it."""
        names = ("id", "type", "queue", "error", "message", "attempts", "failed_at", "fingerprint")
        return {**{name: getattr(self, name) for name in names}, "message": masking().mask_error(self.message)}

    def details(self) -> dict[str, Any]:
        """All of it, as JSON has it: the failure, and the message or the bytes that are none; secrets are masked."""
        failure = {**self.failure, "attempts": self.records} if "attempts" in self.failure else self.failure
        shown = {**self.summary(), "failure": masking().mask(failure, masking().mask_error)}
        if self.envelope is None:
            return {**shown, "body": masking().mask_text(self.stored.body.decode("utf-8", "backslashreplace"))}
        fields = json.loads(self.envelope.encode())
        fields["meta"].pop("failure", None)
        masked = masking().mask(fields)
        if "traceback" in (options := masked["meta"].get("options", {})):
            options["traceback"] = masking().mask_error(str(options["traceback"]))
        if "args" in fields["meta"]:
            masked["meta"]["args"] = self.mask_args(fields["meta"]["args"])
        return {**shown, "envelope": masked}

    def mask_args(self, args: list[Any]) -> list[Any]:
        """Positional arguments, masked by the names that the actor's function has for them."""
        actor = self.broker.actors.get(self.type)
        names = [*inspect.signature(actor.fn).parameters] if actor else []
        names += [""] * len(args)
        return [masking().mask({name: value})[name] for name, value in zip(names, args, strict=False)]

    @property
    def home(self) -> str:
        """The queue that it is sent back to.

        Raises:
            ValueError: nobody works on that queue, or it is not known.
        """
        queue = self.queue
        if not queue and self.type in self.broker.actors:
            queue = self.broker.actors[self.type].queue_name
        if not queue:
            raise ValueError("nothing says which queue it came from")
        if queue not in self.broker.queues:
            raise ValueError(f"no actor here works on its queue {queue}")
        return queue

    def again(self) -> Outgoing:
        """The message as it is sent back, with a fresh count of attempts. Raises as :attr:`home`."""
        envelope = self.envelope
        if envelope is None or not self.reached_a_handler:
            priority = envelope.priority if envelope else 0
            return Outgoing(self.home, self.id if envelope else "", self.type, self.stored.body, priority)
        return outgoing(afresh(envelope), self.home)

    def event(self, what: str, **detail: Any) -> Event:
        """What is told of it when it is mended."""
        if self.envelope is not None:
            return event_of(what, self.envelope, self.queue, **detail)
        return Event(what, self.id, self.type, self.queue, attempt=1, detail=detail)


def afresh(envelope: Envelope) -> Envelope:
    """``envelope`` without its failure, before its first attempt."""
    meta = {name: value for name, value in envelope.meta.items() if name not in _OF_THE_FAILURE}
    if FIRE in meta:  # its first run is over; this one is another
        meta[RETURNED] = turn_of(envelope).returned + 1
    return replace(envelope, meta={"attempt": 1, **meta})


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    return value if isinstance(value, str) else ""
