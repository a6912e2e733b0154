"""Where a worker's time goes: py-spy looks at its threads 100 times a second, and counts where they hold the GIL."""

from __future__ import annotations

import re
import subprocess
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.environment import peer

#: What a stack belongs to, of which what is in carrier/messaging has the shortest names: the innermost frame of one of
#: these decides.
_ROOMS = (
    (re.compile(r"actors/email/(\w+)"), "actors.email.{}"),
    (re.compile(r"carrier/store/(\w+)"), "carrier.store.{}"),
    (re.compile(r"carrier/messaging/((?:\w+/)?\w+)"), "{}"),
    (re.compile(r"(smtplib|pika|dramatiq|celery|kombu|amqp|email)\b"), "{}"),
)


class Profile:
    """Looks at a worker and its processes for so many seconds, beside what the caller does."""

    def __init__(self, pid: int, seconds: int) -> None:
        self._folder = tempfile.TemporaryDirectory()
        self._path = Path(self._folder.name) / "stacks"
        command = [peer("py-spy"), "record", "--pid", str(pid), "--subprocesses", "--gil", "--full-filenames"]
        command += ["--duration", str(seconds), "--format", "raw", "--output", str(self._path)]
        self._spy = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)

    def shares(self) -> list[tuple[str, float]]:
        """Where the time went, and its share of all, the largest first.

        Raises:
            RuntimeError: py-spy could not look.
        """
        _, said = self._spy.communicate(timeout=120)
        if not self._path.exists():
            raise RuntimeError(f"py-spy: {said}")
        counts: Counter[str] = Counter()
        for line in self._path.read_text().splitlines():
            stack, _, count = line.rpartition(" ")
            counts[_room(stack)] += int(count)
        self._folder.cleanup()
        total = sum(counts.values())
        return [(room, count / total) for room, count in counts.most_common()]


def _room(stack: str) -> str:
    return next(_rooms(stack), "other")


def _rooms(stack: str) -> Iterator[str]:
    for frame in reversed(stack.split(";")):
        for pattern, name in _ROOMS:
            found = pattern.search(frame)
            if found:
                yield name.format(found[1].replace("/", "."))
