"""A number that many threads count up, without a lock: an interrupted one could leave a lock behind locked."""

from __future__ import annotations

import itertools
import threading


class Count:
    """Starts at 0.

    Attributes:
        add: count one more; one step of the interpreter.
    """

    def __init__(self) -> None:
        self._counter, self._looks = itertools.count(), 0
        self._looking = threading.Lock()
        self.add = self._counter.__next__

    def read(self) -> int:
        """The number now."""
        with self._looking:
            self._looks += 1
            return next(self._counter) - self._looks + 1
