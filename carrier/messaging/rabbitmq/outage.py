"""What the log says while RabbitMQ cannot be used: each reason once, and when it is over."""

from __future__ import annotations

import logging
import threading

logger = logging.getLogger(__name__)


class Outage:
    """As one process sees it, by its parties: those who publish, and those who consume. Any thread may tell it."""

    def __init__(self, nodes: str) -> None:
        self._nodes = nodes
        #: What each party has met that is not over for it.
        self._said: dict[str, set[str]] = {}
        self._lock = threading.Lock()

    def note(self, party: str, why: str) -> None:
        """It cannot be used; ``why`` is a sentence."""
        with self._lock:
            if not any(why in said for said in self._said.values()):
                logger.warning("%s; trying again", why)
            self._said.setdefault(party, set()).add(why)

    def over(self, party: str) -> bool:
        """It can; returns whether it could not before. It is said once it is so for all."""
        with self._lock:
            was = self._said.pop(party, None) is not None
            if was and not self._said:
                logger.warning("RabbitMQ at %s is there again", self._nodes)
        return was
