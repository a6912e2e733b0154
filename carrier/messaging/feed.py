"""News of failed_queue, as they happen, for whoever shows what is in it.

They are a help, not a promise: some may be missing, so whoever listens compares counts, and looks again at everything
where they differ for long.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from carrier.messaging.walk import Stored


@dataclass(frozen=True, slots=True)
class News:
    """A message has come, or it is gone.

    Attributes:
        key: what it is known by in this feed.
        stored: None when it is gone.
    """

    key: bytes
    stored: Stored | None = None


class Feed(ABC):
    """What happens from the moment on at which it was opened.

    Attributes:
        tells_all: whether what lay there before comes as news too.
    """

    tells_all: bool

    @abstractmethod
    def news(self, timeout: float) -> list[News]:
        """What has happened since the last call, in its order; waits ``timeout`` seconds at most for something.

        Raises:
            BrokerUnavailable: there will be no more; open another one.
        """

    @abstractmethod
    def key(self, stored: Stored) -> bytes:
        """What a message that a walk has found is known by here."""

    @abstractmethod
    def count(self) -> int | None:
        """How many messages are in failed_queue; None while somebody goes through it. Raises as :meth:`news`."""

    @abstractmethod
    def close(self) -> None:
        """No more news."""
