"""What the log says while RabbitMQ cannot be used: each reason once, and when it is over."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger(__name__)


class Outage:
    """As one process sees it; any thread may tell it."""

    def __init__(self, nodes: str) -> None:
        self._nodes = nodes
        self._said: set[str] = set()
        self._lock = threading.Lock()

    def note(self, why: str) -> None:
        """It cannot be used; ``why`` is a sentence."""
        with self._lock:
            if why not in self._said:
                logger.warning("%s; trying again", why)
            self._said.add(why)

    def over(self) -> bool:
        """It can; returns whether it could not before."""
        with self._lock:
            was = bool(self._said)
            self._said.clear()
        if was:
            logger.warning("RabbitMQ at %s is there again", self._nodes)
        return was
