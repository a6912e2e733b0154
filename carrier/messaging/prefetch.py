"""How many messages a consumer takes in advance: what its handlers work off within a moment.

Two for each thread, as Dramatiq has it, keep handlers busy that take a while, and let urgent messages and other workers
have their turn. Where a handler takes microseconds they are worked off before the next ones are here; with hundreds in
hand the same worker does twice as many. So the number follows the rate at which messages are settled, and what is in
hand when handlers become slow goes back. Who sets ``dramatiq_queue_prefetch`` in the environment has just that number.
"""

from __future__ import annotations

import time

from dramatiq.worker import QUEUE_PREFETCH

#: Seconds of work to have in hand, and the most messages.
_AHEAD, _MOST = 0.05, 512
#: Seconds of work after which the rate is looked at.
EVERY = 0.1
#: By how much it must grow to be changed, which costs two round trips; and the seconds of work in hand that are so many
#: that some of it goes back, where other workers may have it.
_GROW, _LONG = 1.5, 0.5


class Prefetch:
    """Of one consumer, in its thread.

    Attributes:
        least: where it begins, and what it never falls below.
        size: how many messages are taken in advance now.
    """

    def __init__(self, least: int) -> None:
        self.least = self.size = least
        self._most = least if QUEUE_PREFETCH else _MOST
        self._since = time.monotonic()
        self._settled = 0
        self._was_idle = False

    def follow(self, settled: int, in_hand: int) -> bool:
        """Look at the rate, when it is time for it, and return whether the number has changed.

        Parameters:
            settled: messages that have been settled, ever.
            in_hand: messages that are taken and not settled.
        """
        if not in_hand:
            self._was_idle = True
        now = time.monotonic()
        passed = now - self._since
        if passed < EVERY:
            return False
        rate = (settled - self._settled) / passed
        wanted = max(self.least, min(round(rate * _AHEAD), self._most))
        # Handlers are slow only when there was something for them to do all the time.
        is_slow = in_hand > max(wanted, rate * _LONG) and not self._was_idle
        self._since, self._settled, self._was_idle = now, settled, False
        if is_slow or wanted > self.size * _GROW:
            self.size = wanted
            return True
        return False
