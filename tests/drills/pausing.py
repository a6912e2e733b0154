"""The scheduler with pauses at random before it sends and before it says so: hardly ever is it killed there without.

``python -m tests.drills.pausing`` is ``carrier scheduler``.
"""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from typing import Any

from carrier.commands import main
from carrier.messaging.broker import Broker
from carrier.store import fires

#: Seconds of the longest one.
_LONGEST = 0.4


def _paused(call: Callable[..., Any]) -> Callable[..., Any]:
    def paused(*args: Any, **options: Any) -> Any:
        time.sleep(random.uniform(0, _LONGEST))  # in which it can be killed
        return call(*args, **options)

    return paused


if __name__ == "__main__":
    Broker.enqueue_many = _paused(Broker.enqueue_many)  # type: ignore[method-assign]  # this process alone is slowed
    fires.sent = _paused(fires.sent)
    sys.argv = ["carrier", "scheduler"]
    main()
