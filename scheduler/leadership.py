"""Whether this process leads: it says every second that it lives, on a thread of its own.

Any error means that it does not lead. Who sees that nobody has said anything for a while, by the seconds that have
passed here, takes over.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import threading
from collections.abc import Callable

from carrier.store import leader
from carrier.store.errors import StoreUnavailable
from scheduler.clock import Clock

logger = logging.getLogger(__name__)

#: Seconds between two beats, and without one after which the leader is taken for dead.
BEAT, SILENCE = 1.0, 5.0


class Leadership(threading.Thread):
    """Beats, and takes over.

    Parameters:
        changed: called when this process begins or ceases to lead, on this thread.

    Attributes:
        owner: who this process is: a random token.
        fence: the number under which it leads; None while it does not.
    """

    def __init__(self, changed: Callable[[], None], clock: Clock) -> None:
        super().__init__(name="leadership", daemon=True)
        self.owner = secrets.token_hex(16)
        self.fence: int | None = None
        self._process = f"{socket.gethostname()}:{os.getpid()}"
        self._changed, self._clock = changed, clock
        self._ending = threading.Event()
        self._seen: leader.Seen | None = None
        self._since = 0.0  # when it was first seen so
        self._error = ""

    def run(self) -> None:
        """Until it is ended."""
        while True:
            self.step()
            if self._ending.wait(BEAT):
                return

    def step(self) -> None:
        """One beat, or one look at the leader."""
        before = self.fence
        try:
            if before is None:
                self.fence = self._try()
            elif not leader.beat(self.owner, before):
                logger.warning("another scheduler leads now")
                self.fence = None
            self._error = ""
        except StoreUnavailable as error:
            self.fence = None
            if str(error) != self._error:
                self._error = str(error)
                logger.error("%s; this scheduler does not lead until that is mended", error)
        if self.fence != before:
            self._changed()

    def _try(self) -> int | None:
        row = leader.look()
        seen = None if row is None else leader.Seen(row.owner, row.fence, row.beat)
        now = self._clock.passed()
        if seen != self._seen:
            if seen is not None and seen.owner is not None and (self._seen is None or self._seen.owner != seen.owner):
                logger.info("%s leads; standing by", row.process if row else "another scheduler")
            self._seen, self._since = seen, now
        free = seen is None or seen.owner is None or seen.owner == self.owner
        if not free and now - self._since < SILENCE:
            return None
        fence = leader.take(seen, self.owner, self._process)
        if fence is not None:
            logger.info("leading")
        return fence

    def end(self) -> None:
        """Beat no more, and let another one lead at once."""
        self._ending.set()
        self.join()
        if self.fence is not None:
            try:
                leader.leave(self.owner, self.fence)
            except StoreUnavailable as error:
                logger.warning("%s; another scheduler takes over in %g s", error, SILENCE)
            self.fence = None
