"""Backups of PostgreSQL: Carrier's handler, and what the shell does with the same programs."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.servers.postgresql import PostgresqlNode

ROOT = Path(__file__).parents[1]
#: Rows of the table that is backed up: more than 1 GB as a dump, of which a quarter is left when it is compressed.
ROWS = 9_000_000
_FILL = """
CREATE TABLE things AS SELECT n AS id, md5(n::text) AS name, now() AS at, n * 0.01 AS price,
    repeat('the same words ', 1 + n % 3) AS text FROM generate_series(1, %s) AS n
"""
#: One backup by the handler, and what it took: the worker has imported it long before.
_OURS = """
import json, resource, sys, time
from actors.backup.run import back_up
from actors.backup.payload import Backup
from carrier.store import database
from settings import get_settings
import pyrage, psycopg

def cpu():
    both = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in both)

database.prepare()
began, before = time.monotonic(), cpu()
_, made = back_up(Backup(database="bench"), sys.argv[1], get_settings())
print(json.dumps({"wall": time.monotonic() - began, "cpu": cpu() - before, "stored": made.stored_bytes,
                  "bytes": made.bytes, "memory": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
"""


@dataclass(frozen=True)
class Taken:
    """What one backup took: seconds by the clock and of the processor (the server's not counted), and bytes."""

    wall: float
    cpu: float
    stored: int
    bytes: int = 0
    memory: int = 0


def _shell(url: str, folder: Path) -> Taken:
    target = folder / "shell.dump.zst"
    quoted = shlex.quote(str(target))
    script = (
        f"set -o pipefail; pg_dump -Fc -Z0 --dbname={shlex.quote(url)} | zstd -q -T0 -f -o {quoted} && sync {quoted}"
    )
    began = os.times()
    process = subprocess.Popen(["bash", "-c", script])
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise RuntimeError("the shell's pipeline failed")
    taken = Taken(os.times().elapsed - began.elapsed, usage.ru_utime + usage.ru_stime, target.stat().st_size)
    target.unlink()
    return taken


def _ours(url: str, folder: Path, number: int, *, encrypted: bool = False) -> Taken:
    home = folder / "home"
    config = folder / "carrier.toml"
    recipients = '["age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"]' if encrypted else "[]"
    config.write_text(f'[databases.bench]\nurl = "{url}"\nrecipients = {recipients}\n')
    environment = {**os.environ, "CARRIER_HOME": str(home), "CARRIER_CONFIG": str(config), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-c", _OURS, f"{number}-{encrypted}"]
    ended = subprocess.run(words, env=environment, check=True, stdout=subprocess.PIPE, cwd=folder)
    shutil.rmtree(home / "backups")
    return Taken(**json.loads(ended.stdout))


def run(rounds: int, _: list[str]) -> str:
    """In turn, so many times. The report, in Markdown."""
    folder = Path(tempfile.mkdtemp(prefix="carrier-bench-"))
    (folder / "node").mkdir()
    folder.chmod(0o755)
    node = PostgresqlNode(folder / "node")
    pairs: list[tuple[Taken, Taken, Taken]] = []
    try:
        node.wait()
        url = node.new_database()
        with psycopg.connect(url, autocommit=True) as opened:
            opened.execute(_FILL.replace("%s", str(ROWS)).encode())
        _shell(url, folder)  # what is read afterwards is in memory
        for number in range(rounds):
            pair = _shell(url, folder), _ours(url, folder, number), _ours(url, folder, number, encrypted=True)
            pairs.append(pair)
            print(*(f"{each.wall:.1f} s, {each.cpu:.1f} s of CPU;" for each in pair), flush=True)
    finally:
        node.stop()
        shutil.rmtree(folder)
    return "\n".join(_lines(pairs))


def _lines(pairs: list[tuple[Taken, Taken, Taken]]) -> Iterator[str]:
    dumped, stored = pairs[0][1].bytes, pairs[0][1].stored
    yield (
        f"PostgreSQL, a dump of {dumped / 1e9:.2f} GB, stored as {stored / 1e6:.0f} MB; medians of"
        f" {len(pairs)} pairs. The shell is `pg_dump -Fc -Z0 | zstd -T0` and `sync`; Carrier's backup has its SHA-256"
        " and its manifest, too. CPU is that of the programs and of the worker, not the server's; memory is the"
        " worker's at its peak."
    )
    yield "\n| | wall | of the shell's | CPU | of the shell's | memory |\n|---|---|---|---|---|---|"
    for name, column in (("shell", 0), ("carrier", 1), ("carrier, encrypted (age)", 2)):
        wall, cpu = (statistics.median(getattr(pair[column], what) for pair in pairs) for what in ("wall", "cpu"))
        ratios = [
            statistics.median(getattr(pair[column], what) / getattr(pair[0], what) for pair in pairs)
            for what in ("wall", "cpu")
        ]
        memory = max(pair[column].memory for pair in pairs)
        shown = f"{memory / 1e6:.0f} MB" if memory else ""
        yield f"| {name} | {wall:.1f} s | {ratios[0]:.2f} | {cpu:.1f} s | {ratios[1]:.2f} | {shown} |"
