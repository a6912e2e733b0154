"""What a broker says of itself: its queues, and who works on them. None stands for what it cannot tell."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
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
class Busy:
    """A handler that runs: which message it has, and since when (Unix time in s)."""

    type: str
    id: str
    since: float


@dataclass(frozen=True, slots=True)
class WorkerFigures:
    """One process that takes messages. It tells all this itself, every few seconds; RabbitMQ knows the first three.

    Attributes:
        threads: how many messages it handles at a time.
        running: how many it handles now.
        busy: what it handles, the oldest first; of very many not all.
        waits: by queues, how long in s a message had waited there at most of those that were begun since it told the
            last time.
        done: how many attempts went well since it has started, and in ``errors`` how many did not.
        memory: bytes that it has in RAM.
        started: Unix time in s, as is ``at``: when it told this.
    """

    host: str
    process: int
    queues: list[str]
    threads: int | None = None
    running: int = 0
    busy: list[Busy] = field(default_factory=list)
    done: int | None = None
    errors: int | None = None
    waits: dict[str, float] = field(default_factory=dict)
    memory: int | None = None
    started: float | None = None
    at: float | None = None

    @classmethod
    def read(cls, text: bytes) -> WorkerFigures | None:
        """What a process has told, as JSON; None for what another version means by it."""
        try:
            fields = json.loads(text)
            return cls(**{**fields, "busy": [Busy(**each) for each in fields.get("busy", [])]})
        except (ValueError, TypeError, AttributeError):
            return None

    def write(self) -> bytes:
        """As JSON."""
        return json.dumps(asdict(self)).encode()


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
