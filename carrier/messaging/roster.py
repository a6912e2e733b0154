"""Who works: the processes that take messages, as they tell it themselves."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from carrier.messaging.figures import WorkerFigures


@dataclass(frozen=True, slots=True)
class Workers:
    """Those that are there, and those that were and have ended without having been told to."""

    living: Sequence[WorkerFigures] = ()
    lost: Sequence[WorkerFigures] = ()


class Roster(ABC):
    """Kept up to date for as long as it is open."""

    @abstractmethod
    def look(self, seconds: float) -> Workers:
        """Listen for so long; then say who is there.

        Raises:
            BrokerUnavailable: it cannot be known any more; open another one.
        """

    @abstractmethod
    def close(self) -> None:
        """Listen no more."""
