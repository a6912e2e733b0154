"""Many delayed messages: none early, none much too late, and none in the memory of workers."""

from __future__ import annotations

import contextlib
import statistics
import time

from tests.drills.crew import Crew
from tests.drills.drill import RABBITMQ, Drill
from tests.drills.load import Load
from tests.drills.site import EMBEDDED, Site

MESSAGES = 100_000
#: Seconds: the shortest delay, and the longest for all messages. Fewer have shorter ones, and as many are due a second.
_SHORTEST, _LONGEST = 1, 600
#: Seconds after which a message is called late.
_LATE = 0.25
#: Milliseconds after which RabbitMQ tries again what had no route when it expired: all of it while a RabbitMQ 3 starts.
#: Its default is 180,000; it can be set in advanced.config.
_CONFIRM_TIMEOUT = 10_000


def run(site: Site, messages: int) -> str:
    """Send them with a worker that is up, kill what holds them half way, and compare when they were due with when their
    handlers were begun."""
    longest = max(30, _LONGEST * messages // MESSAGES)
    crew = site.workers(1, threads=8)
    first = site.send(Load(1, messages))
    first.wait(60)
    site.settle()
    memory = _memory(crew)
    sending = time.monotonic()
    sender = site.send(Load(messages, delay=(_SHORTEST * 1000, longest * 1000), batch=50))
    sender.wait(300)
    sending = time.monotonic() - sending
    site.load_for(longest / 2)
    held = _memory(crew)
    down, up = _restart(site, crew)
    site.settle(longest + 300)
    notes = site.notes.read()
    late = {n: times[0] - notes.sent[n].due for n, times in notes.began.items() if n < messages}
    early = sum(each < 0 for each in late.values())
    before = [each for n, each in late.items() if notes.sent[n].due < down]
    behind = [n for n, each in late.items() if notes.sent[n].due >= down and each > _LATE]
    last = max((notes.sent[n].due for n in behind), default=up) - up
    p50, p99 = statistics.quantiles(before, n=100)[49::49]
    calm = [each for n, each in late.items() if notes.sent[n].due > up + last]
    restarted = "worker" if site.broker == EMBEDDED else "broker"
    return (
        f"{len(late) / (longest - _SHORTEST):.0f} due a second; {early} early; late by {p50 * 1000:.0f} ms (p50),"
        f" {p99 * 1000:.0f} ms (p99), {max(before):.1f} s at most; the {restarted} was down for {up - down:.0f} s:"
        f" {len(behind)} came more than {_LATE:g} s late, by {max(late.values()):.1f} s at most, the last of them due"
        f" {last:.0f} s after its return; p99 then {_p99(calm)}; sent in {sending:.0f} s;"
        f" the worker had {memory} MB before, {held} MB half way"
    )


def _p99(late: list[float]) -> str:
    return f"{statistics.quantiles(late, n=100)[98] * 1000:.0f} ms" if len(late) > 1 else "of none"


def _restart(site: Site, crew: Crew) -> tuple[float, float]:
    """When it was gone and when it was there again, by the clock."""
    down = time.time()
    if site.broker == EMBEDDED:
        (worker,) = crew.running
        known = set(site.notes.workers)
        worker.kill()
        site.load_for(60, lambda: bool(site.notes.read().workers.keys() - known))
    else:
        site.node.kill()
        site.node.start()
        site.node.wait()
    return down, time.time()


def _memory(crew: Crew) -> int:
    """MB that the worker's processes have resident."""
    (worker,) = crew.running
    total = 0
    for folder in worker.folders():
        with contextlib.suppress(OSError):  # it has ended
            fields = dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line)
            total += int(fields.get("VmRSS", "0 kB").split()[0])
    return total // 1024


DRILLS = (
    Drill(
        "delays",
        f"{MESSAGES:,} messages delayed by {_SHORTEST} s to {_LONGEST // 60} min; half way the broker is killed (-9)"
        " and restarted, the worker where the broker is a file",
        run,
        MESSAGES,
    ),
    Drill(
        "delays-confirmed",
        "the same, a fifth of it, where Carrier knows of no management API and RabbitMQ's"
        f" dead_letter_worker_publisher_confirm_timeout is {_CONFIRM_TIMEOUT // 1000} s instead of 180 s",
        run,
        MESSAGES // 5,
        RABBITMQ,
        config={"dead_letter_worker_publisher_confirm_timeout": _CONFIRM_TIMEOUT},
        use_management=False,
    ),
)
