"""What dies is started again, and all of it ends together."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.programs import Run, Start
from tests.servers.ports import answers, free_port
from tests.servers.process import Process
from tests.waiting import wait_until


def children(pid: int) -> dict[str, int]:
    """The processes that ``pid`` has started: id by the command's name."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                words = (entry / "cmdline").read_bytes().split(b"\0")
            except (FileNotFoundError, ProcessLookupError):
                continue  # it has ended meanwhile
            if parent == pid and b"carrier" in words:
                found[words[words.index(b"carrier") + 1].decode()] = int(entry.name)
    return found


def test_a_killed_worker_is_started_again_and_sigterm_ends_all(start: Start, run: Run, tmp_path: Path) -> None:
    supervisor: Process = start("carrier", "supervise", "--processes", "1", PORT=str(port := free_port()))
    first = wait_until(lambda: len(found := children(supervisor.pid)) == 3 and found, "all run")
    assert set(first) == {"worker", "scheduler", "web"}
    wait_until(lambda: answers(port), "the console answers")
    second = run("carrier", "supervise")
    assert second.returncode == 1
    assert "runs already" in second.stderr
    os.kill(first["worker"], signal.SIGKILL)
    wait_until(lambda: children(supervisor.pid).get("worker") not in (None, first["worker"]), "another worker runs")
    run("carrier", "send", "email", "a@example.com", "s", "b")
    wait_until(lambda: list((tmp_path / "var").glob("outbox/*.eml")), "it works")
    last = children(supervisor.pid)
    supervisor.signal(signal.SIGTERM)
    assert supervisor.wait(60) == 0, supervisor.output()
    assert not any(Path(f"/proc/{pid}").exists() for pid in last.values())
    assert "status" not in supervisor.output().partition("stopping")[2], "they ended by themselves"


def test_a_killed_supervisor_takes_its_children_with_it(start: Start, run: Run) -> None:
    supervisor = start("carrier", "supervise", "--processes", "1", PORT=str(free_port()))
    first = wait_until(lambda: len(found := children(supervisor.pid)) == 3 and found, "all run")
    os.kill(supervisor.pid, signal.SIGKILL)
    wait_until(lambda: not any(Path(f"/proc/{pid}/exe").exists() for pid in first.values()), "all have ended")
    again = start("carrier", "supervise", "--processes", "1", PORT=str(free_port()))
    wait_until(lambda: len(children(again.pid)) == 3, "another one can start")
