"""What a broker says of itself: its queues, and who works on them. None stands for what it cannot tell."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class QueueFigures:
    """One queue.

    Attributes:
        ready: messages that wait.
        unacked: messages that are in a worker's hands.
        delayed: messages that are not due yet.
        consumers: how many take from it.
        publish_rate: messages that came in, per second.
        ack_rate: messages that were done with, per second.
    """

    name: str
    ready: int
    unacked: int | None = None
    delayed: int | None = None
    consumers: int | None = None
    publish_rate: float | None = None
    ack_rate: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One process that takes messages: where it runs, and from which queues it takes."""

    host: str
    process: int
    queues: list[str]


@dataclass(frozen=True, slots=True)
class Figures:
    """A moment of a broker.

    Attributes:
        broker: which it is, and where; ``delayed`` counts all messages that are not due.
        workers: None where the broker cannot tell.
        alarms: what is wrong with the broker itself, a line each.
        work: what is under way that only one does at a time, such as a backup: ``name``, ``worker``, ``since``, and
            how far it has come.
    """

    broker: dict[str, Any]
    queues: list[QueueFigures]
    workers: list[WorkerFigures] | None
    alarms: list[str] = field(default_factory=list)
    work: list[dict[str, Any]] = field(default_factory=list)
