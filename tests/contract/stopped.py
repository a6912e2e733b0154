"""``carrier`` as a program that is stopped, in the middle of carrying out what it has decided on.

``python -m tests.contract.stopped SIGKILL 3 failed retry --all``: by that signal, in the third window. A retry is
stopped between storing and removing, where RabbitMQ has two of each.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import Any

from carrier.commands import main
from carrier.messaging.embedded.walk import EmbeddedWalk
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from carrier.messaging.rabbitmq.walk import RabbitmqWalk

NUMBER, WINDOW = signal.Signals[sys.argv[1]], int(sys.argv[2])


def count(kind: type[Any], name: str, *, after: bool) -> None:
    """Have the signal come before or after the call of that window."""
    original, calls = getattr(kind, name), 0

    def called(self: Any, given: Sequence[Any]) -> Any:
        nonlocal calls
        calls += 1
        result = original(self, given) if after else None
        if calls == WINDOW:
            os.kill(os.getpid(), NUMBER)
        return result if after else original(self, given)

    setattr(kind, name, called)


sys.argv[1:] = sys.argv[3:]
if "retry" in sys.argv or "restore" in sys.argv:
    count(RabbitmqBroker, "store", after=True)
else:
    count(RabbitmqWalk, "_carry_out", after=False)
count(EmbeddedWalk, "_carry_out", after=False)
main()
