"""Programs that do not what they should: in each case nothing is kept, nothing runs on, and the reason is said."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from actors.backup import tool
from actors.backup.payload import Backup
from actors.backup.run import back_up
from actors.backup.trouble import BackupError, NotWhole, ToolFailed, ToolMissing, ToolStuck
from carrier.messaging.errors import PermanentError
from settings import Settings
from tests.programs import Start
from tests.servers.mariadb import MariadbNode
from tests.servers.postgresql import PostgresqlNode
from tests.waiting import wait_until

Make = Callable[..., Settings]
#: Seconds for which programs sleep that are to be ended: other tests run beside this one.
SLEEP = f"42{os.getpid():08d}"
#: The head of a dump of PostgreSQL 15, by hand: magic, versions, sizes, format, no compression, a time, two names.
_NUMBERS = (0, 1, 1, 1, 1, 1, 1, 1)
_HEAD = b"PGDMP\1\16\0\4\10\1" + b"".join(bytes([0, n, 0, 0, 0]) for n in _NUMBERS) + b"\0\1\0\0\0x\0\4\0\0\00015.1"
HEAD = "".join(f"\\{byte:03o}" for byte in _HEAD)


class Fake:
    """A folder with a program in it that somebody calls pg_dump."""

    def __init__(self, folder: Path, settings: Make) -> None:
        self._folder, self._settings = folder, settings

    def __call__(self, script: str, *, name: str = "pg_dump", stall: str = "1m", limit: str = "2m") -> Settings:
        """``script`` is for the shell; it answers to --version by itself."""
        program = self._folder / name
        script = script.replace("SLEEP", SLEEP)
        program.write_text(f'#!/bin/bash\n[ "$1" = --version ] && echo "{name} 13.2" && exit\n{script}\n')
        program.chmod(0o755)
        kind = "postgresql" if name == "pg_dump" else "mariadb"
        return self._settings(
            f"[databases.app]\nurl = '{kind}://u:geheim@localhost/x'\ntools = '{self._folder}'\n"
            f"stall_limit = '{stall}'\ntime_limit = '{limit}'\n"
        )


@pytest.fixture
def fake(tmp_path: Path, settings: Make) -> Fake:
    folder = tmp_path / "tools"
    folder.mkdir()
    return Fake(folder, settings)


@contextmanager
def nothing_is_kept(made: Settings) -> Iterator[None]:
    """Neither a file, nor a process that has its folder open."""
    yield
    assert [path.name for path in made.backups.iterdir()] == []
    folder = str(made.config_folder / "tools")
    left = [
        line
        for line in subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
        if folder in line or SLEEP in line
    ]
    assert left == []


def sleeping() -> list[str]:
    """The programs that sleep for a tool that is none."""
    found = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True).stdout.splitlines()
    return [line for line in found if SLEEP in line and line.startswith("sleep")]


def dump(made: Settings) -> None:
    back_up(Backup(database="app"), "id", made)


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        ("echo boom >&2; exit 1", ToolFailed, r"pg_dump failed \(exit status 1\): boom"),
        (f"printf '{HEAD}'; exit 1", ToolFailed, "it said nothing"),
        ("exit 0", NotWhole, "has written no dump"),
        ("echo nonsense", NotWhole, "has written no dump"),
        (f"printf '{HEAD}half'", NotWhole, "its dump has no end"),
        ("kill -KILL $$", ToolFailed, r"was killed \(signal 9\)"),
        ("exec 1>&-; exec sleep SLEEP", ToolStuck, "nothing"),
        ("exec sleep SLEEP", ToolStuck, "nothing for 1 s"),
        ("trap '' TERM; sleep SLEEP & sleep SLEEP", ToolStuck, "nothing for 1 s"),
        (f"sleep SLEEP & printf '{HEAD}half'", NotWhole, "its dump has no end"),
        ("while :; do printf x; sleep 0.05; done", ToolStuck, "after 2 s"),
        ("yes | head -c 20000000 >&2; exit 1", ToolFailed, "y | y"),
        ("head -c 5000000 /dev/zero >&2; exit 1", ToolFailed, "exit status 1"),
    ],
)
def test_what_goes_wrong_is_said_and_nothing_is_kept(
    fake: Fake, script: str, error: type[Exception], text: str
) -> None:
    made = fake(script, stall="20s" if "head" in script else "1s", limit="2s" if "while" in script else "20s")
    with nothing_is_kept(made), pytest.raises(error, match=text) as caught:
        dump(made)
    assert len(str(caught.value)) < 2100


def test_a_whole_one_is_kept(fake: Fake) -> None:
    made = fake(f"printf '{HEAD}'; head -c 5 /dev/zero; echo a warning >&2")
    place, manifest = back_up(Backup(database="app"), "id", made)
    assert (manifest.server, manifest.tool) == ("PostgreSQL 15.1", "pg_dump 13.2")
    assert manifest.warnings == "a warning"
    assert (place.folder / manifest.file).exists()


def test_a_client_that_is_too_old_is_permanent_and_named(fake: Fake) -> None:
    made = fake("echo 'pg_dump: error: aborting because of server version mismatch' >&2; exit 1")
    with nothing_is_kept(made), pytest.raises(PermanentError, match=r"tools beside the url \(pg_dump 13\.2\)"):
        dump(made)


@pytest.mark.parametrize(
    ("script", "error", "text"),
    [
        ("echo '-- Server version\t10.11'; echo '-- Dump completed'", None, ""),
        ("echo '/*!999999\\- enable the sandbox mode */'; echo '-- Dump completed on 2026'", None, ""),
        ("echo 'CREATE TABLE t'", NotWhole, "Dump completed"),
        ("echo '-- Dump completed'; echo more", NotWhole, "Dump completed"),
        (
            "echo \"x: Couldn't execute 'SHOW': View 'v' references invalid table\" >&2; exit 2",
            PermanentError,
            "mend or",
        ),
        ('echo "Access denied for user" >&2; exit 2', PermanentError, "mend user and password"),
        ('case $1 in --defaults-extra-file=*) echo "-- Dump completed";; *) exit 1;; esac', None, ""),
    ],
)
def test_mariadb(fake: Fake, script: str, error: type[Exception] | None, text: str) -> None:
    made = fake(script, name="mysqldump")
    if error is None:
        dump(made)
        return
    with nothing_is_kept(made), pytest.raises(error, match=text):
        dump(made)


def test_what_is_not_installed_is_named(settings: Make, tmp_path: Path) -> None:
    for kind, text in (
        ("postgresql", "pg_dump is not in .*postgresql-client"),
        ("mariadb", "mariadb-dump or mysqldump"),
    ):
        made = settings(f"[databases.app]\nurl = '{kind}://localhost/x'\ntools = '{tmp_path}'\n")
        with pytest.raises(ToolMissing, match=text):
            dump(made)


def test_no_secret_is_in_argv_environment_files_or_errors(fake: Fake, tmp_path: Path) -> None:
    shown = tmp_path / "shown"
    made = fake(f'tr "\\0" "\\n" </proc/$$/cmdline >{shown}; env >>{shown}; cat "$PGPASSFILE" >&2; exit 1')
    with pytest.raises(ToolFailed, match=r"\*:\*:\*:\*:\[masked\]") as caught:
        dump(made)
    assert "geheim" not in shown.read_text()
    assert "geheim" not in str(caught.value)
    found = [path for path in tmp_path.rglob("*") if path.is_file() and b"geheim" in path.read_bytes()]
    assert [path.name for path in found] == ["carrier.toml"]


def test_an_interrupted_thread_leaves_nothing(fake: Fake) -> None:
    made = fake(f"printf '{HEAD}'; exec sleep SLEEP")
    seen: list[BaseException] = []

    class Interrupted(BaseException):
        """As Dramatiq interrupts a handler."""

    def run() -> None:
        try:
            dump(made)
        except Interrupted as error:
            seen.append(error)

    from dramatiq.middleware.threading import raise_thread_exception

    with nothing_is_kept(made):
        thread = threading.Thread(target=run)
        thread.start()
        # Not while a thread is started: until it runs it has the number of the one that starts it (CPython 3.11,
        # PyThreadState_New), and is interrupted in its place.
        wait_until(sleeping, "its program runs")
        raise_thread_exception(thread.ident, Interrupted)
        thread.join(20)
        assert len(seen) == 1


def test_a_killed_worker_takes_all_of_it_along(fake: Fake, start: Start, tmp_path: Path) -> None:
    made = fake("trap '' TERM HUP; (trap '' TERM HUP; sleep SLEEP) & sleep SLEEP")
    code = (
        "from actors.backup.run import *; back_up(Backup(database='app'), 'id', __import__('settings').get_settings())"
    )
    process = start("python", "-c", code, CARRIER_CONFIG=str(made.carrier_config), CARRIER_HOME=str(made.home))

    wait_until(lambda: len(sleeping()) >= 2, "it runs")
    os.kill(process.pid, signal.SIGKILL)  # it alone
    wait_until(lambda: not sleeping(), "all have ended")
    assert len(list(made.backups.glob("*.partial"))) == 1
    whole = fake(f"printf '{HEAD}'; head -c 5 /dev/zero")
    _wait_for_the_lock()
    place, manifest = back_up(Backup(database="app"), "id", whole)
    assert {path.name for path in place.folder.iterdir()} == {manifest.file, f"{manifest.id}.json"}


def _wait_for_the_lock() -> None:
    """The dead run's; nobody waits half a minute for that here."""
    from sqlalchemy import update

    from carrier.store.database import session
    from carrier.store.models import LockEntry

    with session() as opened:
        opened.execute(update(LockEntry).values(until=0))


BIG = f"printf '{HEAD}'; head -c 30000000 /dev/urandom; head -c 5 /dev/zero"


def test_who_has_left_the_group_holds_up_nobody(fake: Fake, tmp_path: Path) -> None:
    """It keeps standard output and standard error open, in a session of its own."""
    pid = tmp_path / "pid"
    made = fake(f"setsid sleep SLEEP & echo $! >{pid}; printf '{HEAD}'; head -c 5 /dev/zero")
    began = time.monotonic()
    dump(made)
    assert time.monotonic() - began < 30
    os.kill(int(pid.read_text()), signal.SIGKILL)


def test_a_full_disk_is_said_and_leaves_nothing(fake: Fake, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    words = ["mount", "-t", "tmpfs", "-o", "size=20m", "tmpfs", str(small)]
    if (mounted := subprocess.run(words, capture_output=True, text=True)).returncode:
        pytest.skip(f"a small disk cannot be mounted: {mounted.stderr}")
    try:
        made = fake(BIG).model_copy(update={"backup_root": small})
        with nothing_is_kept(made), pytest.raises(BackupError, match="no space for a backup in"):
            dump(made)
        (small / "filler").write_bytes(bytes(10_000_000))
        with pytest.raises(BackupError, match="it takes about"):
            dump(made)
        assert [path.name for path in small.iterdir()] == ["filler"]
    finally:
        subprocess.run(["umount", str(small)], check=True)


def test_a_file_that_may_not_grow_is_said_and_leaves_nothing(fake: Fake) -> None:
    made, before = fake(BIG), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5_000_000, before[1]))
    try:
        with nothing_is_kept(made), pytest.raises(BackupError, match=r"no space for a backup in .*: File too large"):
            dump(made)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def hold_postgresql(folder: Path) -> tuple[PostgresqlNode, str, Connection[Any]]:
    """A server with a database that a dump cannot get through, as somebody has its table locked."""
    node = PostgresqlNode(folder)
    node.wait()
    url = node.new_database()
    with psycopg.connect(url, autocommit=True) as opened:
        opened.execute("CREATE TABLE big AS SELECT n FROM generate_series(1, 1000) n")
    locking = psycopg.connect(url)
    locking.execute("LOCK TABLE big IN ACCESS EXCLUSIVE MODE")
    return node, url, locking


def hold_mariadb(folder: Path) -> tuple[MariadbNode, str, subprocess.Popen[str]]:
    """The same."""
    node = MariadbNode(folder)
    node.wait()
    name = node.new_database()
    node.execute("CREATE TABLE big (n int); INSERT INTO big VALUES (1)", name)
    locking = subprocess.Popen(node.client(name), stdin=subprocess.PIPE, text=True)
    assert locking.stdin is not None
    locking.stdin.write("LOCK TABLES big WRITE;\n")
    locking.stdin.flush()
    wait_until(lambda: "big" in node.execute("SHOW OPEN TABLES WHERE In_use > 0"), "it is locked")
    return node, node.url(name), locking


@pytest.mark.parametrize("hold", [hold_postgresql, hold_mariadb])
def test_a_server_that_is_killed_in_the_middle(settings: Make, hold: Callable[[Path], tuple[Any, str, Any]]) -> None:
    folder = Path(tempfile.mkdtemp(prefix="carrier-server-"))
    node, url, locking = hold(folder)
    made = settings(f"[databases.app]\nurl = '{url}'\n")
    seen: list[Exception] = []

    def run() -> None:
        try:
            dump(made)
        except BackupError as error:
            seen.append(error)

    thread = threading.Thread(target=run)
    try:
        with nothing_is_kept(made):
            thread.start()
            wait_until(lambda: list(made.backups.glob("*.partial")), "it has begun")
            wait_until(node.dumps_wait, "it waits for the table")
            node.stop()
            thread.join(30)
            assert len(seen) == 1
            assert re.search("(?i)server closed the connection|lost connection|gone away|terminat", str(seen[0]))
    finally:
        locking.close() if hold is hold_postgresql else locking.communicate()
        thread.join()


def test_no_more_is_kept_of_what_a_program_says_than_its_beginning_and_end() -> None:
    said = tool._Said(Path(os.devnull).open("rb"), [])  # noqa: SIM115  (its thread closes it)
    said._reading.join()
    for number in range(1000):
        said._add([f"line {number} {'x' * 1000}".encode()])
    lines = said.text().splitlines()
    assert len(lines) == 71
    assert (lines[0][:7], lines[20], lines[-1][:9]) == ("line 0 ", "… 930 more lines …", "line 999 ")
    assert max(map(len, lines)) == 500
    said.close()
