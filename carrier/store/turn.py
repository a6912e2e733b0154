"""The states of a fire time, and whose turn it is; light to import, as every worker does."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import Enum, auto

#: To be sent, and sent.
RECORDED, SENT = "recorded", "sent"
#: A worker has it, or will have it again.
RUNNING, RETRYING = "running", "retrying"
#: How it ended; of one that is lost its worker was not heard of any more.
DONE, FAILED, LOST = "done", "failed", "lost"
#: Never sent: it was too late, or the one before it was not over.
MISSED, SKIPPED = "missed", "skipped"
#: Not over yet.
OPEN = (RECORDED, SENT, RUNNING, RETRYING)


@dataclass(frozen=True, slots=True)
class Fire:
    """A fire time that is new."""

    schedule: str
    at: datetime
    message_id: str
    state: str


@dataclass(frozen=True, slots=True)
class Turn:
    """Which try of a message: how often it was sent back by hand, and the attempt since then."""

    returned: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Holder:
    """Who runs it, as somebody saw it."""

    owner: str
    beat: int


class Verdict(Enum):
    """What the worker does with a message that it was given."""

    RUN = auto()
    DROP = auto()
