"""Waiting for a condition, and never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(condition: Callable[[], T], what: str, *, timeout: float = 30.0, every: float = 0.02) -> T:
    """What ``condition`` returns, as soon as that is true; it is looked at once more when the time is over.

    Parameters:
        what: what is waited for, as in "the queue is empty".
        timeout: seconds at most; generous, because a loaded machine is slow.

    Raises:
        AssertionError: it did not come true.
    """
    until = time.monotonic() + timeout
    while True:
        over = time.monotonic() >= until
        found = condition()
        if found:
            return found
        if over:
            raise AssertionError(f"not within {timeout:g} s: {what} (last seen: {found!r})")
        time.sleep(every)  # between two looks: what is waited for tells nobody here
