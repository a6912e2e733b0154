"""A MariaDB server of the test run's own: on loopback, on a free port, in a temporary folder."""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.servers.ports import HOST, free_port
from tests.servers.process import Process
from tests.waiting import wait_until

_PROGRAMS = ("mariadbd", "mariadb-install-db", "mariadb", "mariadb-dump")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Nobody needs its data after a power cut.
_FAST = ("--innodb-flush-log-at-trx-commit=0", "--innodb-doublewrite=0", "--innodb-buffer-pool-size=32M",
         "--innodb-log-file-size=16M", "--skip-log-bin", "--skip-name-resolve", "--performance-schema=0")  # fmt: skip


def is_installed() -> bool:
    """Can a server be started?"""
    return all(shutil.which(name, path=_PATH) for name in _PROGRAMS)


class MariadbServer:
    """A server that somebody has started on this port; its user ``carrier`` may do anything and needs no password."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str = "", *, user: str = "carrier", password: str = "") -> str:
        """As carrier.toml has it; what is given stands there as it is."""
        return f"mariadb://{user}{f':{password}' if password else ''}@{HOST}:{self.port}/{database}"

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(lambda: self._run("SELECT 1").returncode == 0, "MariaDB answers", timeout=60, every=0.1)

    def execute(self, statements: str, database: str = "") -> str:
        """What an administrator does: SQL, and the rows it gives, with tabs between their columns."""
        ended = self._run(statements, database)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def read(self, path: Path, database: str) -> None:
        """Have it run the SQL of a file."""
        with path.open() as file:
            subprocess.run(self.client(database), stdin=file, check=True, stdout=subprocess.DEVNULL)

    def _run(self, statements: str, database: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.client(database), input=statements, capture_output=True, text=True, timeout=120)

    def client(self, database: str) -> list[str]:
        """The program that runs SQL."""
        return ["mariadb", "--no-defaults", f"--host={HOST}", f"--port={self.port}", "--protocol=tcp",
                "--user=carrier", "--default-character-set=utf8mb4", "--batch", "--skip-column-names",
                "--binary-mode", *([database] if database else [])]  # fmt: skip

    def dumps_wait(self) -> bool:
        """Does somebody wait for a locked table?"""
        return "Waiting for table" in self.execute("SELECT state FROM information_schema.processlist")

    def new_database(self) -> str:
        """Make one and return its name."""
        name = f"test_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return name


class MariadbNode(MariadbServer):
    """A server that this process has started; it does not wait for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(free_port())
        self.folder = folder
        data, begin = folder / "data", folder / "begin.sql"
        begin.write_text(
            "CREATE USER carrier@'%' IDENTIFIED BY '';\nGRANT ALL ON *.* TO carrier@'%' WITH GRANT OPTION;"
        )
        make = ["mariadb-install-db", "--no-defaults", f"--datadir={data}", "--skip-test-db",
                "--auth-root-authentication-method=normal"]  # fmt: skip
        run = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--port={self.port}", f"--bind-address={HOST}",
               f"--socket={folder}/socket", f"--pid-file={folder}/pid", f"--init-file={begin}", *_FAST]  # fmt: skip
        words = ["sh", "-c", f"{shlex.join(make)} && exec {shlex.join(run)}"]
        if os.geteuid() == 0:  # it refuses root
            user = pwd.getpwnam("mysql")
            for path in (folder, begin):
                os.chown(path, user.pw_uid, user.pw_gid)
            # The death of its parent is told to who asked for it last.
            words = ["setpriv", "--reuid=mysql", "--regid=mysql", "--clear-groups", "--pdeathsig=KILL", *words]
        self._server = Process(words, log=folder.with_suffix(".log"), environment={"PATH": _PATH, "TZ": "UTC"})

    @property
    def pid(self) -> int:
        """Its process."""
        return self._server.pid

    def stop(self) -> None:
        """End it; nobody needs its data any more."""
        self._server.kill()
        shutil.rmtree(self.folder)
        self._server.log.unlink()
