"""What senders and handlers have noted, and what it comes to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Sent:
    """A send that has returned: when it was called and when it returned, and when its message was due (0: at once), by
    the clock in s."""

    called: float
    returned: float
    due: float


class Notes:
    """The lines of one drill, read on from where they were read last.

    Attributes:
        sent: by a message's number.
        began: when its handler was begun, each time.
        done: when its handler ended well, each time.
        workers: the processes that have begun a handler, by their process group.
        refused: what was said by sends that raised.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.sent: dict[int, Sent] = {}
        self.began: dict[int, list[float]] = {}
        self.done: dict[int, list[float]] = {}
        self.workers: dict[int, set[int]] = {}
        self.refused: list[str] = []
        self._read = 0

    def read(self) -> Notes:
        """Take in what has been added."""
        if not self.path.exists():
            return self
        with self.path.open("rb") as file:
            file.seek(self._read)
            content = file.read()
        whole = content[: content.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.decode().splitlines():
            what, n, at, *more = line.split(" ", 3)
            match what:
                case "sent":
                    self.sent[int(n)] = Sent(float(at), *map(float, more[0].split()))
                case "began":
                    self.began.setdefault(int(n), []).append(float(at))
                    group, pid = more[0].split()
                    self.workers.setdefault(int(group), set()).add(int(pid))
                case "done":
                    self.done.setdefault(int(n), []).append(float(at))
                case "refused":
                    self.refused.append(more[0])
        return self

    @property
    def open(self) -> set[int]:
        """What was sent and is not done."""
        return self.sent.keys() - self.done.keys()


@dataclass(frozen=True)
class Tally:
    """What became of the messages of a drill, by their numbers.

    Attributes:
        failed: what lies where failed messages are kept, and how often.
        waiting: what still lies in a queue at the end, and how often.
        pause: the longest time in seconds in which no handler ended, between the first and the last that did.
    """

    sent: set[int]
    done: Counter[int]
    failed: Counter[int] = field(default_factory=Counter)
    waiting: Counter[int] = field(default_factory=Counter)
    pause: float = 0.0

    @property
    def lost(self) -> set[int]:
        """Sent, and nowhere."""
        return self.sent - self.done.keys() - self.failed.keys() - self.waiting.keys()

    @property
    def twice(self) -> int:
        """How many were done more than once, or are done and failed, or failed twice."""
        return sum(times > 1 for times in (self.done + self.failed).values())


def tally(notes: Notes, failed: Counter[int], waiting: Counter[int]) -> Tally:
    """Count."""
    ends = sorted(at for times in notes.done.values() for at in times)
    pause = max((later - earlier for earlier, later in pairwise(ends)), default=0.0)
    done = Counter({n: len(times) for n, times in notes.done.items()})
    return Tally(set(notes.sent), done, failed, waiting, pause)
