"""What can happen to a broker that is a file: its processes die, its disk is full, another program holds it."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
import subprocess
import time
from contextlib import closing

from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import EMBEDDED, Site
from tests.servers.process import Process
from tests.waiting import wait_until

KILLS = 60
_SENDERS = _WORKERS = 4
#: Seconds for which another program holds the file, and for which its disk is nearly full, and full.
_HELD, _NEARLY, _FULL = 20.0, 10.0, 5.0
#: MB of the small disk.
_DISK = 48


def killed(site: Site, messages: int) -> str:
    """Keep four senders and four workers alive and kill one of the eight, again and again."""
    part = max(10, messages // (KILLS * 2))
    loads = iter(range(0, messages, part))
    crew = site.workers(_WORKERS, threads=2)
    senders: list[Process] = []
    kills, over = 0, False
    while not over or senders:
        senders = [each for each in senders if each.running]
        while len(senders) < _SENDERS and not over:
            first = next(loads, None)
            over = first is None
            if first is not None:
                senders.append(site.send(Load(part, first, pace=part / 2, seconds=(0, 0.02))))
        site.load_for(site.chance.uniform(0.2, 0.8))
        if not over and kills < KILLS:
            site.chance.choice([*senders, *crew.running]).kill()
            kills += 1
    site.settle()
    with closing(sqlite3.connect(site.home / "queue.db")) as database:
        sound = database.execute("PRAGMA integrity_check").fetchone()[0]
    return f"{kills} kills among {_SENDERS} senders and {_WORKERS} workers; integrity_check: {sound}"


def full(site: Site, messages: int) -> str:
    """Send more than the disk holds, with a worker that is slower; then let another program take what is left of it."""
    site.home.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={_DISK}m,mode=700", "tmpfs", str(site.home)], check=True)
    site.ending.callback(subprocess.run, ["umount", str(site.home)], check=True)
    site.workers(1)
    sender = site.send(Load(messages, batch=50, seconds=(0, 0.02), size=6_000))

    def sent_while(seconds: float) -> tuple[int, int]:
        sent, done = len(site.notes.read().sent), len(site.notes.done)
        site.load_for(seconds)
        return len(site.notes.read().sent) - sent, len(site.notes.done) - done

    wait_until(lambda: shutil.disk_usage(site.home).free < _DISK * 2**20 // 10, "the disk is nearly full")
    sent, done = sent_while(_NEARLY)
    filler = site.home / "filler"
    with filler.open("wb", buffering=0) as file, contextlib.suppress(OSError):  # there is no more
        while file.write(b"x" * 4096):
            pass
    _, stuck = sent_while(_FULL)
    filler.unlink()
    sender.wait(120)
    site.settle()
    return (
        f"{site.raised()}; with the disk nearly full {sent} sent and {done} done in"
        f" {_NEARLY:.0f} s, with nothing left {stuck} done"
    )


def locked(site: Site, messages: int) -> str:
    """Hold the file for a while as a program does that knows nothing of Carrier."""
    site.workers(2)
    sender = site.send(Load(messages, pace=messages / 30))
    wait_until(lambda: site.notes.read().done, "the first is done")
    with closing(sqlite3.connect(site.home / "queue.db", isolation_level=None, timeout=60)) as other:
        other.execute("BEGIN EXCLUSIVE")
        site.load_for(_HELD)
        other.execute("COMMIT")
    released = time.time()
    sender.wait(120)
    site.settle()
    next_ = min(at for times in site.notes.done.values() for at in times if at > released)
    return f"{site.raised()}; the next handler ended {next_ - released:.2f} s after it was free"


DRILLS = (
    Drill(
        "embedded-killed",
        f"one of {_SENDERS} senders and {_WORKERS} workers on one file killed (-9), {KILLS} times",
        killed,
        12_000,
        (EMBEDDED,),
    ),
    Drill(
        "full-disk",
        f"more is sent than a disk of {_DISK} MB holds, then another program fills it for {_FULL:.0f} s",
        full,
        14_000,
        (EMBEDDED,),
    ),
    Drill(
        "locked-file",
        f"another program holds the file with BEGIN EXCLUSIVE for {_HELD:.0f} s under a sender and two workers",
        locked,
        3_000,
        (EMBEDDED,),
    ),
)
