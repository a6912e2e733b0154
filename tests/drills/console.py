"""The console beside very many failed messages, and killed in the middle of what somebody has ordered."""

from __future__ import annotations

import re
import statistics
import time
from itertools import pairwise
from pathlib import Path

from tests.console.browser import Client
from tests.drills import QUEUE
from tests.drills.drill import Drill
from tests.drills.mending import CARRIER, fail
from tests.drills.site import Site
from tests.servers.ports import answers, free_port
from tests.servers.process import Process

#: Times that each page is asked for.
_ASKED = 20
#: How often it is killed.
_KILLS = 4


def serve(site: Site) -> tuple[Client, Process]:
    """A console that answers."""
    port = free_port()
    process = site.start("console", CARRIER, "web", "--port", str(port))
    site.load_for(60, lambda: answers(port) or not process.running)
    assert process.running, process.output()
    return Client(port), process


def number(client: Client) -> int:
    """How many have failed, as its page says."""
    found = re.search(r"<h1>\s*([\d\u2009]+) messages? failed", client.get("/failed").text)
    return int(found[1].replace("\u2009", "")) if found else 0


def retry(client: Client) -> None:
    """Order all that the page shows to be sent back."""
    last = re.search(r'name="last" value="(\d+)"', client.get("/failed").text)
    assert last is not None
    answer = client.post("/failed/do", {"do": "retry", "last": last[1], "token": client.token()})
    assert answer.status == 303, answer


def look(site: Site, messages: int) -> str:
    """Every page that has to do with them, again and again; then all are sent back by one click."""
    fail(site, messages)
    began = time.monotonic()
    client, process = serve(site)
    site.load_for(300, lambda: number(client) == messages)
    whole = time.monotonic() - began
    group = re.search(r'href="(/failed\?group=[^"]+)"', client.get("/failed").text)
    key = re.search(r'href="(/failed/message\?key=[^"]+)"', client.get("/failed").text)
    assert group is not None
    assert key is not None
    paths = {
        "overview": "/",
        "failed": "/failed",
        "a cause": group[1],
        "its last page": f"{group[1]}&page=9999",
        "found by text": "/failed?text=refuse",
        "a message": key[1],
    }
    times: dict[str, list[float]] = {name: [] for name in paths}
    for _ in range(_ASKED):
        for name, path in paths.items():
            asked = time.perf_counter()
            assert client.get(path).status == 200, path
            times[name].append(1000 * (time.perf_counter() - asked))
    memory = _memory(process)
    site.environment["DRILL_MENDED"] = "yes"
    began = time.monotonic()
    retry(client)
    site.load_for(600, lambda: number(client) == 0)
    mended = time.monotonic() - began
    afterwards = _memory(process)
    process.kill()  # what it has of its own at the broker goes with it
    site.workers(1, threads=8)
    site.settle(600)
    pages = ", ".join(f"{name} {statistics.median(each):.0f} ({max(each):.0f})" for name, each in times.items())
    return (
        f"all counted {whole:.0f} s after its start; ms to answer, median and most of {_ASKED}: {pages};"
        f" {memory:.0f} MB, sent back in {mended:.0f} s; {afterwards:.0f} MB then"
    )


def kill(site: Site, messages: int) -> str:
    """All are ordered to be sent back; the console is killed in the middle of it, again and again."""
    fail(site, messages)
    site.environment["DRILL_MENDED"] = "yes"
    left = []
    while len(left) < _KILLS and (waiting := site.backend.ready("failed_queue")):
        client, process = serve(site)
        site.load_for(60, lambda client=client, waiting=waiting: number(client) >= waiting)
        before = site.backend.ready(QUEUE)
        retry(client)
        site.load_for(120, lambda before=before: site.backend.ready(QUEUE) > before)
        site.load_for(site.chance.uniform(0, 0.2), lambda process=process: not process.running)
        process.kill()
        site.load_for(60, lambda: site.backend.ready("failed_queue") + site.backend.ready(QUEUE) >= messages)
        left.append((site.backend.ready("failed_queue"), site.backend.ready(QUEUE)))
    both = [0, *(failed + sent - messages for failed, sent in left)]
    copies = [str(now - before) for before, now in pairwise(both)]
    client, process = serve(site)
    if waiting := site.backend.ready("failed_queue"):
        site.load_for(60, lambda: number(client) >= waiting)
        retry(client)
        site.load_for(120, lambda: number(client) == 0 and site.backend.ready("failed_queue") == 0)
    process.kill()
    site.workers(1, threads=8)
    site.settle(600)
    return (
        f"killed while so many were left in failed_queue: {', '.join(str(failed) for failed, _ in left)};"
        f" in both queues after each: {', '.join(copies)}"
    )


def _memory(process: Process) -> float:
    """MB at most so far, of its process in RAM (proc(5): VmHWM)."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found is not None
    return int(found[1]) / 1024


DRILLS = (
    Drill(
        "console",
        "100,000 messages of three causes have failed; the console's pages are asked for, and one click sends all back",
        look,
        100_000,
    ),
    Drill(
        "console-killed",
        f"10,000 failed messages are sent back in the console, which is killed (-9) {_KILLS} times in the middle of it",
        kill,
        10_000,
    ),
)
