"""A program that dumps a database, or reads a dump: its output as a stream, and an end with all of its processes.

It runs in a session of its own, without a terminal that it could ask for a password. With it runs a shell that reads
from a pipe which only this process holds: when this process is gone, killed too, that ends the whole group.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import selectors
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from actors.backup.trouble import BackupError, ToolFailed, ToolMissing, ToolStuck

#: The first and the last lines of what a program says on standard error, and the characters of each, that are kept.
_HEAD, _TAIL, _WIDTH = 20, 50, 500
#: Bytes of one read, and of the pipe.
CHUNK = 2**20
#: Seconds between two looks at the limits, and that a program has for its end once its output has ended.
_LOOK = 1.0
#: What is read from the pipe is its end. The program gets neither that nor anything to read.
_GUARDED = 'exec 3<&0 </dev/null; { read _ <&3; kill -KILL 0; } >/dev/null 2>&1 & exec "$@" 3<&-'
#: The first descriptor of secrets: those below may mean something to a shell.
_FIRST = 10


@dataclass(frozen=True)
class Limits:
    """How long a program may run, and how long without a byte, both in s."""

    whole: float
    stalled: float


class Secret:
    """Text that a program reads as a file; it is in memory, and gone with the last process that has it open."""

    def __init__(self, text: str) -> None:
        made = os.memfd_create("secret", os.MFD_CLOEXEC)
        self.descriptor = fcntl.fcntl(made, fcntl.F_DUPFD_CLOEXEC, _FIRST)
        os.close(made)
        os.fchmod(self.descriptor, 0o600)  # libpq ignores a file that others could read
        os.write(self.descriptor, text.encode())

    @property
    def path(self) -> str:
        """Its name for the program."""
        return f"/dev/fd/{self.descriptor}"


def find(names: Sequence[str], folder: Path | None, package: str) -> str:
    """The path of the first of these programs that is there.

    Parameters:
        folder: where it is looked for; on PATH without it.
        package: what to install.

    Raises:
        ToolMissing: none is.
    """
    for name in names:
        found = shutil.which(name, path=folder)
        if found is not None:
            return found
    where = f"in {folder}" if folder else "on PATH"
    raise ToolMissing(
        f'{" or ".join(names)} is not {where}: install {package}, or set tools = "/folder" beside the url'
    )


def version(program: str) -> str:
    """What it says of itself, in one line."""
    ended = subprocess.run([program, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=30)
    return ended.stdout.decode(errors="replace").strip()[:200]


class Tool:
    """A running program."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], limits: Limits, hidden: Sequence[str]) -> None:
        if process.stdout is None or process.stderr is None:
            raise ValueError("it must be started with pipes")
        self.name, self._process, self._limits = name, process, limits
        self._began = self._moved = time.monotonic()
        self._out = process.stdout
        with contextlib.suppress(OSError):  # an ordinary user's pipes may be large only up to a sum
            fcntl.fcntl(self._out, fcntl.F_SETPIPE_SZ, CHUNK)
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._out, selectors.EVENT_READ)
        self._said = _Said(process.stderr, hidden)

    def read(self, size: int = CHUNK) -> bytes:
        """What it has written next, nothing once it has closed its output.

        Raises:
            ToolStuck: it is over a limit.
        """
        while not self._selector.select(_LOOK):
            if self._process.poll() is not None:
                return b""  # it has ended; what still has its output open is not it
            self._look()
        self._look()
        self._moved = time.monotonic()
        return os.read(self._out.fileno(), size)

    def chunks(self) -> Iterator[bytes]:
        """All that it writes."""
        while chunk := self.read():
            yield chunk

    def finish(self) -> str:
        """Wait for its end, once its output has ended; what it has said.

        Raises:
            ToolFailed: its exit status says so.
            ToolStuck: it is over a limit.
        """
        self._moved = time.monotonic()
        while (status := self._process.poll()) is None:
            self._look()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(_LOOK)
        said = self._said.text()
        if status:
            raise ToolFailed(self.name, status, said)
        return said

    def _look(self) -> None:
        now = time.monotonic()
        if now - self._began > self._limits.whole:
            raise ToolStuck(f"{self.name} was ended after {self._limits.whole:.0f} s: time_limit beside the url")
        if now - self._moved > self._limits.stalled:
            raise ToolStuck(
                f"{self.name} was ended: it had written nothing for {self._limits.stalled:.0f} s (a lock, a server that"
                f" hangs?): stall_limit beside the url{self._said.last()}"
            )

    def close(self) -> None:
        """End it, and whatever it has started."""
        with contextlib.suppress(ProcessLookupError):  # all of them have ended
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        self._selector.close()
        self._out.close()
        self._said.close()


@contextmanager
def running(
    words: Sequence[str],
    environment: Mapping[str, str],
    limits: Limits,
    *,
    secrets: Sequence[Secret] = (),
    hidden: Sequence[str] = (),
) -> Iterator[Tool]:
    """Run a program while the ``with`` block takes.

    Parameters:
        secrets: what it may read; they are gone afterwards.
        hidden: texts that are taken out of what it says.

    Raises:
        BackupError: it cannot be started.
    """
    theirs, ours = os.pipe()

    def start() -> Tool:
        process = subprocess.Popen(
            ["/bin/sh", "-c", _GUARDED, "sh", *words],
            env=dict(environment),
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[secret.descriptor for secret in secrets],
            start_new_session=True,
        )
        return Tool(Path(words[0]).name, process, limits, hidden)

    starting = None
    try:
        starting = _Starting(start)
        try:
            tool = starting.wait()
        except OSError as error:
            raise BackupError(f"{words[0]} cannot be started: {error}") from error
        yield tool
    finally:
        if starting is not None:
            starting.close()
        for descriptor in (theirs, ours, *(secret.descriptor for secret in secrets)):
            os.close(descriptor)


class _Starting:
    """Starts a program in a thread of its own: a handler's thread may be interrupted anywhere, by a time limit, and
    what it has half started then would be left behind."""

    def __init__(self, start: Callable[[], Tool]) -> None:
        self._start = start
        self._tool: Tool | None = None
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="carrier-starting", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._tool = self._start()
        except Exception as error:  # noqa: BLE001  (whoever waits is told)
            self._error = error

    def wait(self) -> Tool:
        """The program, once it runs. Raises what starting it has raised."""
        self._thread.join()
        if self._tool is None:
            raise self._error or RuntimeError("it was not started")
        return self._tool

    def close(self) -> None:
        """End it, if it was started."""
        self._thread.join()
        if self._tool is not None:
            self._tool.close()


class _Said:
    """What a program writes on standard error; it is read all the time, for a full pipe would stop the program."""

    def __init__(self, pipe: IO[bytes], hidden: Sequence[str]) -> None:
        self._pipe = pipe
        self._hidden = [text.encode() for text in hidden if text]
        self._head: list[str] = []
        self._tail: list[str] = []
        self._left_out = 0
        self._reading = threading.Thread(target=self._read, name="carrier-stderr", daemon=True)
        self._reading.start()

    def _read(self) -> None:
        rest = b""
        with self._pipe:
            while chunk := os.read(self._pipe.fileno(), 65_536):
                *lines, rest = (rest + chunk).split(b"\n")
                rest = rest[:65_536]
                self._add(lines)
        self._add([rest])

    def _add(self, lines: list[bytes]) -> None:
        if len(self._head) == _HEAD and len(lines) > _TAIL:  # very many: only these are looked at
            self._left_out += len(lines) - _TAIL
            lines = lines[-_TAIL:]
        for line in lines:
            self._add_line(line)

    def _add_line(self, line: bytes) -> None:
        for hidden in self._hidden:
            line = line.replace(hidden, b"[masked]")
        text = line[:_WIDTH].decode(errors="replace").strip()
        if not text:
            return
        if len(self._head) < _HEAD:
            self._head.append(text)
            return
        self._tail.append(text)
        if len(self._tail) > _TAIL:
            del self._tail[0]
            self._left_out += 1

    def text(self) -> str:
        """All of it, once the program has ended and nobody else writes there."""
        self._reading.join(timeout=5)
        between = [f"… {self._left_out:,} more lines …"] if self._left_out else []
        return "\n".join([*self._head, *between, *self._tail])

    def last(self) -> str:
        """The last line so far, as the end of a sentence."""
        last = (self._tail or self._head)[-1:]
        return f"; it said: {last[0]}" if last else ""

    def close(self) -> None:
        """Once all who write there have ended. Who has left the group may never: then it is left to that thread."""
        self._reading.join(timeout=5)
