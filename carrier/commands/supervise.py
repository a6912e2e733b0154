"""``carrier supervise``: runs the other processes, and starts again what dies.

For one machine without a service manager: ``bin/up`` uses it. It ends with its children: on SIGTERM they get the
signal, and time to finish what they handle; when it is killed, the kernel sends it to them (on Linux).
"""

from __future__ import annotations

import ctypes
import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

import click

from carrier.commands import log_to_stderr

logger = logging.getLogger(__name__)

#: Seconds before a process that died is started again: the first and the longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0
#: A process that ran for this many seconds begins with the first pause again.
_SOUND = 60.0
#: Seconds that a process gets to end after SIGTERM.
_PATIENCE = 40.0
#: prctl(2): the signal that this process gets when its parent dies.
_PR_SET_PDEATHSIG = 1


def _end_with_parent(parent: int) -> Callable[[], None] | None:
    """What a child runs before its program: a supervisor that was killed must not leave a second scheduler behind."""
    if sys.platform != "linux":
        return None
    prctl = ctypes.CDLL(None).prctl

    def ask() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:  # it died before we asked
            os._exit(1)

    return ask


@dataclass
class _Child:
    name: str
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    due: float = 0.0
    pause: float = _FIRST_PAUSE

    def start(self) -> None:
        with self.log.open("ab") as log:
            # In a group of its own: ctrl-C reaches us alone, and we tell each child once.
            self.process = subprocess.Popen(
                self.command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
                preexec_fn=_end_with_parent(os.getpid()),
            )
        self.started = time.monotonic()
        logger.info("%s runs as process %d", self.name, self.process.pid)

    def look(self) -> None:
        """Start it when it is due; note it when it has died."""
        now = time.monotonic()
        if self.process is None:
            if now >= self.due:
                self.start()
            return
        status = self.process.poll()
        if status is None:
            return
        if now - self.started >= _SOUND:
            self.pause = _FIRST_PAUSE
        logger.warning("%s ended with status %d; it is started again in %.0f s", self.name, status, self.pause)
        self.end_group(signal.SIGTERM)  # its own children must not live on without it
        self.process, self.due = None, now + self.pause
        self.pause = min(self.pause * 2, _LONGEST_PAUSE)

    def end_group(self, number: signal.Signals) -> None:
        if self.process is not None:
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                logger.debug("nothing of %s is left", self.name)


@click.command("supervise")
@click.option("--processes", "-p", type=click.IntRange(1, 100), default=2, show_default=True, help="Worker processes.")
def command(processes: int) -> None:
    """Run worker, scheduler and console, and start again what dies, until SIGTERM or ctrl-C."""
    from settings import get_settings

    settings = get_settings()
    log_to_stderr(settings.log_level)
    logs = settings.home / "log"
    logs.mkdir(parents=True, exist_ok=True)
    lock = (settings.home / "supervise.pid").open("a+")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise click.ClickException(f"Carrier runs already in {settings.home}") from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()

    carrier = [sys.executable, "-m", "carrier"]
    children = [
        _Child("worker", [*carrier, "worker", "--processes", str(processes)], logs / "worker.log"),
        _Child("scheduler", [*carrier, "scheduler"], logs / "scheduler.log"),
        _Child("web", [*carrier, "web"], logs / "web.log"),
    ]
    ending = False

    def end(_: int, __: FrameType | None) -> None:
        nonlocal ending
        ending = True

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    while not ending:
        for child in children:
            child.look()
        time.sleep(0.2)  # several children and a signal: nothing portable waits for all of them at once
    _end(children)
    lock.truncate(0)


def _end(children: list[_Child]) -> None:
    logger.info("stopping")
    running = [child.process for child in children if child.process is not None]
    for process in running:
        process.send_signal(signal.SIGTERM)
    until = time.monotonic() + _PATIENCE
    for child in children:
        if child.process is None:
            continue
        try:
            child.process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            logger.warning("%s does not end and is killed; its messages go back to their queues", child.name)
            child.end_group(signal.SIGKILL)
            child.process.wait()
    logger.info("stopped")
