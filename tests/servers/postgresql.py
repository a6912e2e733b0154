"""A PostgreSQL server of the test run's own: on loopback, on a free port, in a temporary folder."""

from __future__ import annotations

import os
import pwd
import secrets
import shlex
import shutil
from pathlib import Path

import psycopg

from tests.servers.ports import HOST, free_port
from tests.servers.process import Process
from tests.waiting import wait_until

#: Where Debian puts the programs of each version; the newest one is taken.
_PLACES = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
#: Nobody needs its data after a power cut; it comes up in half a second instead of two.
_FAST = ("-c", "fsync=off", "-c", "full_page_writes=off", "-c", "synchronous_commit=off")
#: Who belongs to the role of this name needs a password; nobody else does.
WITH_PASSWORD = "with_password"
_ACCESS = f"""host all +{WITH_PASSWORD} {HOST}/32 scram-sha-256
host all all {HOST}/32 trust
"""


def is_installed() -> bool:
    """Can a server be started?"""
    return bool(_PLACES)


class PostgresqlServer:
    """A server that somebody has started on this port; its superuser ``carrier`` needs no password."""

    def __init__(self, port: int) -> None:
        self.port = port

    def url(self, database: str = "postgres") -> str:
        """As libpq has it."""
        return f"postgresql://carrier@{HOST}:{self.port}/{database}"

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, "PostgreSQL answers", timeout=60, every=0.1)

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url(), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def execute(self, statement: str) -> None:
        """What an administrator does, outside a transaction."""
        with psycopg.connect(self.url(), autocommit=True) as connection:
            connection.execute(statement.encode())

    def new_database(self) -> str:
        """Make one and return its URL."""
        name = f"test_{secrets.token_hex(4)}"
        self.execute(f"CREATE DATABASE {name}")
        return self.url(name)

    def dumps_wait(self) -> bool:
        """Does a pg_dump wait for a lock?"""
        ask = "SELECT 1 FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
        with psycopg.connect(self.url(), autocommit=True) as connection:
            return connection.execute(ask).fetchone() is not None

    def drop_database(self, url: str) -> None:
        """Remove one, whoever is connected to it."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")


class PostgresqlNode(PostgresqlServer):
    """A server that this process has started; it does not wait for it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(free_port())
        self.folder = folder
        programs, data, access = _PLACES[-1], folder / "data", folder / "access"
        access.write_text(_ACCESS)
        make = [str(programs / "initdb"), "--username=carrier", "--auth=trust", "--no-sync", "--encoding=UTF8",
                "--locale=C.UTF-8", f"--pgdata={data}"]  # fmt: skip
        run = [str(programs / "postgres"), "-D", str(data), "-p", str(self.port), "-c", f"listen_addresses={HOST}",
               "-c", "unix_socket_directories=", "-c", f"hba_file={access}", "-c", "max_connections=300",
               *_FAST]  # fmt: skip
        words = ["sh", "-c", f"{shlex.join(make)} && exec {shlex.join(run)}"]
        if os.geteuid() == 0:  # it refuses root
            user = pwd.getpwnam("postgres")
            for path in (folder, access):
                os.chown(path, user.pw_uid, user.pw_gid)
            # The death of its parent is told to who asked for it last.
            words = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=KILL", *words]
        self._server = Process(words, log=folder.with_suffix(".log"), environment={"PATH": os.defpath, "TZ": "UTC"})

    @property
    def pid(self) -> int:
        """Its process."""
        return self._server.pid

    def stop(self) -> None:
        """End it with all of its processes; nobody needs its data any more."""
        self._server.kill()
        shutil.rmtree(self.folder)
        self._server.log.unlink()
