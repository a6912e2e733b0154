"""What a message costs before it is sent and after it has come: its payload is checked, it is written, it is read."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

from benchmarks.environment import own
from benchmarks.place import ROOT
from benchmarks.row import Goal, Row

_TIMES, _REPEATED = 5_000, 5


def run(rounds: int) -> list[Row]:
    """In a process of its own."""
    goal = [Goal("Carrier", 15, kind="absolute", is_most=True)]
    out = Row("envelope", "payload check and encode", "", "µs", goal)
    back = Row("envelope", "decode and check", "", "µs", goal)
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="carrier-bench-") as home:
            command, environment = [sys.executable, "-m", "benchmarks.encoding"], {**os.environ, "CARRIER_HOME": home}
            environment.pop("RABBITMQ_URL", None)
            found = subprocess.check_output(command, env=environment, cwd=ROOT, text=True).split()
        out.note("Carrier", float(found[0]))
        back.note("Carrier", float(found[1]))
    return [out, back]


def commands(rounds: int) -> list[Row]:
    """``carrier --help``."""
    row = Row("help", "carrier --help", "", "s", [Goal("Carrier", 0.3, kind="absolute", is_most=True)])
    for _ in range(rounds):
        began = time.perf_counter()
        subprocess.run([own("carrier"), "--help"], check=True, stdout=subprocess.DEVNULL)
        row.note("Carrier", time.perf_counter() - began)
    return [row]


def _measure() -> None:
    """Print the µs of a message out and of one in, each the best of some: what disturbs only adds."""
    import dramatiq

    import carrier
    from benchmarks.peers.slots import TEXT

    broker = carrier.connect()
    dramatiq.set_broker(broker)
    from benchmarks.peers.noop_actor import noop

    message = noop.message(1, TEXT)
    body = broker._outgoing(message, 0).body
    consumer = broker.consume("noop")

    def once(work: Callable[[], object]) -> float:
        began = time.perf_counter()
        for _ in range(_TIMES):
            work()
        return 1e6 * (time.perf_counter() - began) / _TIMES

    def out() -> None:
        broker._outgoing(noop.message(1, TEXT), 0)

    def back() -> None:
        consumer.admit(body, (1, 1))

    for work in (out, back):
        print(min(once(work) for _ in range(_REPEATED)))
    consumer.close()
    broker.close()


if __name__ == "__main__":
    _measure()
