"""What has become of a message: told to whoever listens, once it is so."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from carrier.messaging.envelope import Envelope

#: What can have happened: in a worker, and by hand.
DONE, RETRYING, DEFERRED, FAILED = "done", "retrying", "deferred", "failed"
SENT_BACK, EDITED, DISCARDED, ARCHIVED, RESTORED = "sent back", "edited", "discarded", "archived", "restored"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to one message.

    Attributes:
        at: Unix time in s.
        worker: the process, where that is another than the one that tells it.
        detail: the rest, as JSON has it: ``sent`` (when the message was made), ``error``, ``message``, ``reason``,
            ``next_at``, ``seconds`` (that the handler took), ``by``, ``original`` and ``successor`` (ids, of an edit).
    """

    what: str
    id: str
    type: str
    queue: str
    attempt: int
    worker: str | None = None
    at: float = field(default_factory=time.time)
    detail: dict[str, Any] = field(default_factory=dict)


#: Must return at once: workers call it between two messages.
EventListener = Callable[[Event], None]


def event_of(
    what: str, envelope: Envelope, queue: str, *, worker: str | None = None, at: str | None = None, **detail: Any
) -> Event:
    """The event of a message that is there; ``at`` as records of failures have it, now without it."""
    detail["sent"] = envelope.created_at
    if isinstance(original := envelope.meta.get("original"), dict):
        detail["original"] = original.get("id")
    moment = time.time() if at is None else datetime.fromisoformat(at).timestamp()
    return Event(what, envelope.id, envelope.type, queue, envelope.attempt, worker, moment, detail)
