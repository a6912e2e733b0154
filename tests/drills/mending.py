"""Very many failed messages: how long people wait for what they see of them, and commands that are killed half way."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.drills import QUEUE
from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import Site
from tests.servers.process import Process

CARRIER = str(Path(sys.executable).parent / "carrier")
#: Kills of one command, each a moment later than the one before it, in s after its beginning.
_KILLS = (0.8, 1.1, 1.4, 1.7)


@dataclass(frozen=True)
class Ran:
    """A command that has ended: what it printed, seconds by the clock and of the processor, and MB at most."""

    output: str
    wall: float
    cpu: float
    memory: float


def run_command(site: Site, *words: str) -> Ran:
    """Run ``carrier failed`` to its end."""
    began = time.monotonic()
    process = subprocess.Popen(
        [CARRIER, "failed", *words], env=site.environment, cwd=site.folder, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    wall = time.monotonic() - began
    assert os.waitstatus_to_exitcode(status) == 0, f"carrier failed {words}: {output}"
    return Ran(output, wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def fail(site: Site, messages: int) -> None:
    """Have so many fail, of three causes."""
    site.environment["CARRIER_ACTORS"] = "tests.drills.application"  # for the command
    crew = site.workers(1, threads=8)
    site.send(Load(messages, actor="refuse", batch=500)).wait(600)
    site.settle(600)
    crew.stop()


def look(site: Site, messages: int) -> str:
    """The first page, the groups, and a retry of all."""
    fail(site, messages)
    page = run_command(site, "list", "--json")
    assert len(json.loads(page.output)) == min(100, messages)
    groups = run_command(site, "groups", "--json")
    found: list[dict[str, Any]] = json.loads(groups.output)
    assert sum(group["count"] for group in found) == messages
    site.environment["DRILL_MENDED"] = "yes"
    retry = run_command(site, "retry", "--all", "--yes")
    site.workers(1, threads=8)
    site.settle(600)
    return (
        f"first page {page.wall:.1f} s; {len(found)} groups after {groups.wall:.1f} s ({groups.cpu:.1f} s of CPU),"
        f" {groups.memory:.0f} MB; all counted and sent back in {retry.wall:.0f} s, {retry.memory:.0f} MB"
    )


def kill(site: Site, messages: int) -> str:
    """An archive and a retry of all are killed again and again, each begun anew, and then let through."""
    fail(site, messages)
    file = site.folder / "failed.zst"
    archived = _kill(site, "archive", str(file))
    discarding = _kill_discarding(site, file)
    if discarding:
        run_command(site, "archive", str(file))
    assert site.backend.ready("failed_queue") == 0
    run_command(site, "restore", str(file))
    site.environment["DRILL_MENDED"] = "yes"
    retried = _kill_retrying(site)
    run_command(site, "retry", "--all", "--yes")
    site.workers(1, threads=8)
    site.settle(600)
    return (
        f"killed while so many were left in failed_queue: the archive {archived}, while it discarded {discarding},"
        f" the retry {retried}"
    )


def _kill(site: Site, *words: str) -> str:
    left = []
    for seconds in _KILLS:
        process = site.start("killed", CARRIER, "failed", *words)
        site.load_for(seconds, lambda process=process: not process.running)
        process.kill()
        left.append(str(_left(site)))
    return ", ".join(left)


def _kill_retrying(site: Site) -> str:
    """Each time once it has sent some back."""
    left = []
    for _ in _KILLS:
        process = site.start("killed", CARRIER, "failed", "retry", "--all", "--yes")
        before = site.backend.ready(QUEUE)

        def has_begun(process: Process = process, before: int = before) -> bool:
            return site.backend.ready(QUEUE) > before or not process.running

        site.load_for(120, has_begun)
        site.load_for(site.chance.uniform(0, 0.2), lambda process=process: not process.running)
        process.kill()
        left.append(str(_left(site)))
    return ", ".join(left)


def _kill_discarding(site: Site, file: Path) -> int:
    """Kill an archive once its file is there: what is in it is being thrown away."""
    process = site.start("killed", CARRIER, "failed", "archive", str(file))
    site.load_for(120, lambda: file.exists() or not process.running)
    site.load_for(site.chance.uniform(0, 0.5), lambda: not process.running)
    process.kill()
    return _left(site)


def _left(site: Site) -> int:
    """How many are in failed_queue."""
    run_command(site, "list")  # which waits until what others held is back
    return site.backend.ready("failed_queue")


DRILLS = (
    Drill(
        "failed",
        "100,000 messages of three causes fail at their first attempt; they are looked at, and sent back",
        look,
        100_000,
    ),
    Drill(
        "mending-killed",
        f"10,000 failed messages are archived, put back and retried; archive and retry are killed (-9) {len(_KILLS)}"
        " times each, and the archive once more while it throws away what is in its file",
        kill,
        10_000,
    ),
)
