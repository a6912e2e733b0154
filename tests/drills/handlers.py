"""Handlers that outlast what the broker waits for: its consumer timeout, or heartbeats that a busy process misses."""

from __future__ import annotations

from tests.drills.drill import RABBITMQ, Drill
from tests.drills.load import Load
from tests.drills.site import Site

#: Seconds: the server's consumer timeout and how long handlers take then; AMQP's heartbeat and how long they compute.
_TIMEOUT, _LONG = 5, 12.0
_HEARTBEAT, _COMPUTING = 5, 1.0


def long(site: Site, messages: int) -> str:
    """Every tenth handler takes longer than the server waits for its acknowledgement."""
    slow = messages // 10
    site.send(Load(slow, messages, seconds=(_LONG, _LONG))).wait(60)
    site.send(Load(messages - slow, seconds=(0, 0.1), pace=20))
    site.workers(1, threads=8)
    site.load_for(_LONG)
    site.settle()
    starts = [len(times) for n, times in site.notes.began.items() if n >= messages]
    return f"the {slow} long ones were begun {min(starts)} to {max(starts)} times"


def computing(site: Site, messages: int) -> str:
    """Many threads of one process compute all the time."""
    site.environment["RABBITMQ_URL"] += f"?heartbeat={_HEARTBEAT}"
    site.send(Load(messages, actor="compute", seconds=(_COMPUTING, _COMPUTING))).wait(60)
    site.workers(1, threads=32)
    site.settle()
    starts = max(len(times) for times in site.notes.began.values())
    return f"begun {starts} times at most"


DRILLS = (
    Drill(
        "long-handlers",
        f"every tenth handler takes {_LONG:.0f} s, where RabbitMQ waits {_TIMEOUT} s for an acknowledgement",
        long,
        200,
        RABBITMQ,
        config={"consumer_timeout": _TIMEOUT * 1000, "channel_tick_interval": 1000},
    ),
    Drill(
        "computing-handlers",
        f"32 threads of one process compute for {_COMPUTING:.0f} s a message, with a heartbeat of {_HEARTBEAT} s",
        computing,
        400,
        RABBITMQ,
    ),
)
