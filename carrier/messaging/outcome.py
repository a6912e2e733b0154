"""What is to become of a delivery. A middleware writes it on the delivery; the consumer carries it out, once."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from carrier.messaging.failure import Failure


@dataclass(frozen=True, slots=True)
class Done:
    """It is handled: acknowledge it."""


@dataclass(frozen=True, slots=True)
class Again:
    """Hand it out again, ``delay`` ms from now; ``record`` is the attempt that failed."""

    delay: int
    record: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Failed:
    """Into failed_queue, with the reason."""

    failure: Failure


@dataclass(frozen=True, slots=True)
class Back:
    """Not begun, or interrupted by nobody's fault: back into its queue as it was."""


@dataclass(frozen=True, slots=True)
class Later:
    """Handed out again ``delay`` ms from now, as it is: it must run alone and could not, another worker has it, or its
    handler has deferred it, and ``why`` says the reason. ``meta`` is put into its own."""

    delay: int
    meta: dict[str, Any] = field(default_factory=dict)
    why: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """A copy of one that was handled: away with it, as if it had never been there."""


Outcome = Done | Again | Failed | Back | Later | Dropped
