"""A send that has returned is on the disk: strace sees the call that puts it there before the send returns."""

from __future__ import annotations

import re
import shutil
import signal
from bisect import bisect_left

from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import EMBEDDED, Site
from tests.waiting import wait_until

#: ``pid time fsync(5) = 0 <took>``; where others were written between, ``pid time <... fsync resumed>) = 0 <took>``.
_CALL = re.compile(r"^\d+ +(\d+\.\d+) (<\.\.\. )?f(?:data)?sync\b.* = 0 <(\d+\.\d+)>$", re.MULTILINE)


def run(site: Site, messages: int) -> str:
    """Send one after another, and look in each send's time for an fsync that began and ended in it."""
    assert shutil.which("strace"), "strace is missing: apt-get install strace"
    traced = site.folder / "strace"
    strace = ("strace", "-f", "-ttt", "-T", "-e", "trace=fsync,fdatasync", "-o", str(traced))
    load = Load(messages, pace=20)
    if site.broker == EMBEDDED:
        site.start("senders", *strace, *site.sender(load)).wait(300)
    else:
        site.send(Load(1, messages)).wait(60)  # declaring queues is synced too
        tracer = site.start("strace", *strace, "--attach", str(site.node.pid))
        wait_until(lambda: "attached" in tracer.output(), "strace is attached")
        site.send(load).wait(300)
        tracer.signal(signal.SIGTERM)
        tracer.wait()
    calls = _calls(traced.read_text())
    begins = [began for began, _ in calls]
    without = 0
    for n, sent in site.notes.read().sent.items():
        inside = calls[bisect_left(begins, sent.called) : bisect_left(begins, sent.returned)]
        without += n < messages and not any(ended <= sent.returned for _, ended in inside)
    assert not without, f"{without} of {messages} sends returned before an fsync"
    site.workers(1)
    site.settle()
    return f"each of {messages} sends has a whole fsync in its time"


def _calls(trace: str) -> list[tuple[float, float]]:
    """When each began and ended, by the clock."""
    calls = []
    for at, resumed, took in _CALL.findall(trace):
        moment, seconds = float(at), float(took)
        calls.append((moment - seconds, moment) if resumed else (moment, moment + seconds))
    return sorted(calls)


DRILLS = (
    Drill("on-disk", "one send after another under strace: an fsync begins and ends in the time of each", run, 200),
)
