"""A handler that says "not now" puts its message off: longer each time, and not for ever."""

from __future__ import annotations

import random
from typing import Any

from carrier.messaging.envelope import MAX_DELAY_MS, Envelope, now_ms
from carrier.messaging.errors import Deferred
from carrier.messaging.outcome import Later

#: Of an envelope's ``meta``: since when (Unix time in ms) its handler has put it off, and how often. The next attempt,
#: and sending it back by hand, begin anew.
DEFERRED = "deferred"
#: Milliseconds: the first deferral at least, and each at most.
_LEAST, _MOST = 10_000, 15 * 60_000


def defer(envelope: Envelope, error: Deferred) -> Later | None:
    """What becomes of a message whose handler has deferred it; None when that has gone on for too long."""
    now = now_ms()
    since, times = _so_far(envelope.meta.get(DEFERRED), now)
    if now - since > error.most:
        return None
    delay = _growing(times) if error.delay is None else max(0, min(int(error.delay), MAX_DELAY_MS))
    return Later(delay, {DEFERRED: [since, times + 1]}, why=str(error))


def _growing(times: int) -> int:
    upper = min(_LEAST * 2 ** min(times + 1, 20), _MOST)
    return round(random.uniform(upper / 2, upper))  # noqa: S311  (not a secret)


def _so_far(found: Any, now: int) -> tuple[int, int]:
    """Somebody else's program may have written anything there."""
    if isinstance(found, list) and len(found) == 2 and all(type(each) is int and each >= 0 for each in found):
        return min(found[0], now), found[1]
    return now, 0
