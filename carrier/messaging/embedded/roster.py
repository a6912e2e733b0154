"""Who works, by the files that workers keep locked: the kernel itself says who has died."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from carrier.messaging import lease
from carrier.messaging.roster import Roster, Workers

if TYPE_CHECKING:
    from carrier.messaging.embedded.broker import EmbeddedBroker


class EmbeddedRoster(Roster):
    """Nothing needs to be kept."""

    def __init__(self, broker: EmbeddedBroker) -> None:
        self._folder = broker.leases

    def look(self, seconds: float) -> Workers:
        """See :meth:`Roster.look`."""
        time.sleep(seconds)  # nobody tells: files are looked at
        return Workers(lease.workers(self._folder), lease.lost(self._folder))

    def close(self) -> None:
        """See :meth:`Roster.close`."""
