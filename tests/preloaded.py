"""``carrier`` in a process that has its imports behind it: they are most of what a short command takes.

The standard library's fork server imports what is slow, once a test process, and forks for each command.
"""

from __future__ import annotations

import atexit
import multiprocessing
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

#: None of them reads settings, or makes a broker, when it is imported.
_MODULES = [
    "alembic.command",
    "carrier.commands.failed",
    "carrier.messaging.application",
    "carrier.messaging.embedded.broker",
    "carrier.messaging.rabbitmq.broker",
    "carrier.monitor.history",
    "carrier.store.fires",
    "scheduler.process",
    "tests.preloaded",
]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_MODULES)


def run(
    words: Sequence[str], *, cwd: Path, environment: Mapping[str, str], stdin: str, timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run ``carrier``, and return what it printed and its exit status."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "0").write_text(stdin, newline="")
        process = _context.Process(target=_become, args=(list(words), cwd, dict(environment), folder))
        process.start()
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            raise subprocess.TimeoutExpired(list(words), timeout)
        out, err = ((folder / number).read_text() if (folder / number).exists() else "" for number in "12")
    return subprocess.CompletedProcess(["carrier", *words], process.exitcode, out, err)


def _become(words: list[str], cwd: Path, environment: dict[str, str], folder: Path) -> None:
    for number, flags in enumerate((os.O_RDONLY, os.O_WRONLY | os.O_CREAT, os.O_WRONLY | os.O_CREAT)):
        opened = os.open(folder / str(number), flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, mode, closefd=False) for n, mode in enumerate("rww"))
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["carrier", *words]
    from carrier.commands import main

    try:
        main()
    finally:
        atexit._run_exitfuncs()  # which a process of multiprocessing leaves out
