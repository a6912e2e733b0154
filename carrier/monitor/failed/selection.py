"""Which failed messages are meant: by what they are, or exactly those that were counted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol

from carrier.messaging.walk import Stored
from carrier.monitor.failed.message import FailedMessage


class Chosen(Protocol):
    """Something that chooses failed messages."""

    def takes(self, failed: FailedMessage, /) -> bool:
        """Whether it is one of them."""

    @property
    def is_used_up(self) -> bool:
        """Whether it takes no more, whatever comes."""


@dataclass(frozen=True)
class Filter:
    """Every condition that is given must hold; of the values of one condition, one.

    Attributes:
        errors: names of errors, with or without their module.
        groups: fingerprints.
        since: Unix time in s, of the last failure; ``until`` likewise. What does not say when it failed is in neither.
        text: stands in what is shown of it, in any case of its letters.
    """

    ids: Collection[str] = ()
    types: Collection[str] = ()
    queues: Collection[str] = ()
    errors: Collection[str] = ()
    groups: Collection[str] = ()
    since: float | None = None
    until: float | None = None
    text: str = ""

    def takes(self, failed: FailedMessage) -> bool:
        """Whether it is one of them."""
        return (
            (not self.ids or failed.id in self.ids)
            and (not self.types or failed.type in self.types)
            and (not self.queues or failed.queue in self.queues)
            and (not self.errors or not {failed.error, failed.error.rpartition(".")[2]}.isdisjoint(self.errors))
            and (not self.groups or failed.fingerprint in self.groups)
            and self._is_in_time(failed)
            and self._has_text(failed)
        )

    @property
    def is_used_up(self) -> bool:
        """See :attr:`Chosen.is_used_up`."""
        return False

    @property
    def is_everything(self) -> bool:
        """Whether there is no condition."""
        names = (self.ids, self.types, self.queues, self.errors, self.groups, self.text)
        return not any(names) and self.since is None and self.until is None

    def _is_in_time(self, failed: FailedMessage) -> bool:
        if self.since is None and self.until is None:
            return True
        moment = moment_of(failed.failed_at)
        if moment is None:
            return False
        return (self.since is None or moment >= self.since) and (self.until is None or moment < self.until)

    def _has_text(self, failed: FailedMessage) -> bool:
        if not self.text:
            return True
        # What is masked cannot be guessed by looking for it.
        shown = json.dumps(failed.details(), ensure_ascii=False)
        return self.text.casefold() in shown.casefold()


@dataclass
class Counted:
    """Those messages that were there when they were counted, and no others; used up by taking them.

    Attributes:
        number: how many were counted.
        left: how many of them are not taken yet.
    """

    number: int = 0
    left: int = 0
    _copies: Counter[bytes] = field(default_factory=Counter, repr=False)

    def add(self, message: FailedMessage | Stored) -> None:
        """Count one."""
        self.add_identity(message.identity)

    def add_identity(self, identity: bytes) -> None:
        """Count one that is known by its identity."""
        self.number += 1
        self.left += 1
        self._copies[identity] += 1

    def takes(self, message: FailedMessage | Stored) -> bool:
        """Whether it is one of them; each is one only once."""
        identity = message.identity
        copies = self._copies.pop(identity, 0)
        if not copies:
            return False
        self.left -= 1
        if copies > 1:
            self._copies[identity] = copies - 1
        return True

    @property
    def is_used_up(self) -> bool:
        """See :attr:`Chosen.is_used_up`."""
        return self.left == 0


def moment_of(text: str) -> float | None:
    """A time as Unix time in s; one without a zone is UTC; None for what is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
