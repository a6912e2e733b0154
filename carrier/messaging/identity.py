"""Ids: unique wherever they are made, and no secrets.

The system's own randomness seeds them once a process. To ask it for each costs more than the rest of an id, and every
such call lets go of the interpreter, at which threads that send at the same time wake each other for nothing.
"""

from __future__ import annotations

import os
import random

from carrier.messaging.envelope import now_ms

_random = random.Random()  # noqa: S311  (see above)
os.register_at_fork(after_in_child=_random.seed)


def new_id() -> str:
    """A UUID of version 7 (RFC 9562, section 5.7): unique, and in the order of its making."""
    # 48 bits of time, 4 of version, 12 of chance, 2 of variant, 62 of chance.
    chance = _random.getrandbits(74)
    number = now_ms() << 80 | 7 << 76 | chance >> 62 << 64 | 2 << 62 | chance & _LOW
    written = f"{number:032x}"
    return f"{written[:8]}-{written[8:12]}-{written[12:16]}-{written[16:20]}-{written[20:]}"


_LOW = 2**62 - 1


def new_mark() -> str:
    """16 characters that no other call in the world returns."""
    return f"{_random.getrandbits(64):016x}"
