"""The installed programs, run as people run them, in an empty folder."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests import preloaded
from tests.servers.process import Process

PROGRAMS = Path(sys.executable).parent

Run = Callable[..., subprocess.CompletedProcess[str]]
Start = Callable[..., Process]


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What a program sees; a test may add to it."""
    return {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "LANG": "C.UTF-8"}


@pytest.fixture
def run(tmp_path: Path, environment: dict[str, str]) -> Run:
    """``run("carrier", "send", …)``: what it printed and its exit status."""

    def run(program: str, *words: str, stdin: str = "", **more: str) -> subprocess.CompletedProcess[str]:
        if program == "carrier":
            return preloaded.run(words, cwd=tmp_path, environment={**environment, **more}, stdin=stdin, timeout=100)
        return subprocess.run(
            [str(PROGRAMS / program), *words],
            cwd=tmp_path,
            env={**environment, **more},
            input=stdin,
            capture_output=True,
            text=True,
            timeout=100,
            check=False,
        )

    return run


@pytest.fixture
def start(tmp_path: Path, environment: dict[str, str]) -> Iterator[Start]:
    """Starts a program that runs on, as :func:`run` does."""
    started: list[Process] = []

    def start(program: str, *words: str, **more: str) -> Process:
        process = Process(
            [str(PROGRAMS / program), *words],
            log=tmp_path / f"{program}-{len(started)}.log",
            environment={**environment, **more},
            cwd=tmp_path,
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.kill()
