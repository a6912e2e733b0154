"""PostgreSQL, by pg_dump in its custom format, not compressed: pg_restore takes all of it or some of it back.

https://www.postgresql.org/docs/current/app-pgdump.html
"""

from __future__ import annotations

import contextlib
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryFile

from actors.backup.engines.dump import Origin, Scratch, ToolDump, Watched, environment
from actors.backup.tool import Secret, find, running
from actors.backup.trouble import Damaged, NotWhole
from carrier.messaging.errors import PermanentError

NAME, SUFFIX = "postgresql", ".dump"
_PACKAGE = "postgresql-client"
#: What no other attempt will change, and what to do.
_PERMANENT = (
    (r"server version mismatch", "install the pg_dump of the server's version or set tools beside the url ({version})"),
    (r"password authentication failed|no password supplied|no pg_hba\.conf entry", "mend user and password in the url"),
    (r'database ".*" does not exist|role ".*" does not exist', "mend the url"),
    (r"permission denied for", "grant the role of the url what it has to read (pg_read_all_data)"),
)
#: Each block of data ends in a chunk of no bytes, and a table of contents without data in an offset that is not set:
#: zeros in both (pg_backup_custom.c).
_END = bytes(5)


def program(tools: Path | None) -> str:
    """pg_dump."""
    return find(["pg_dump"], tools, _PACKAGE)


def room(_: Origin) -> int:
    """Nothing is on disk but the backup."""
    return 0


@contextmanager
def dump(origin: Origin) -> Iterator[ToolDump]:
    """Begin a dump; what it raises is in :class:`actors.backup.engines.dump.Engine`."""
    from psycopg import ProgrammingError, conninfo

    try:
        given = conninfo.conninfo_to_dict(re.sub(r"^postgres(ql)?(\+\w+)?:", "postgresql:", origin.url))
    except ProgrammingError:
        raise PermanentError(f"databases.{origin.name}: url: libpq does not understand it") from None
    if given.pop("sslpassword", None) is not None:
        raise PermanentError(f"databases.{origin.name}: url: sslpassword is not supported; use a key without one")
    path = program(origin.tools)
    secrets, hidden, password, more = [], [], given.pop("password", None), {}
    if password is not None:
        escaped = str(password).replace("\\", "\\\\").replace(":", "\\:")
        if "\n" in escaped or "\r" in escaped:
            raise PermanentError(f"databases.{origin.name}: url: the password must not hold a line break")
        secrets, hidden = [Secret(f"*:*:*:*:{escaped}\n")], [escaped, str(password)]
        more["PGPASSFILE"] = secrets[0].path
    words = [path, "--format=custom", "--compress=0", "--no-password",
             f"--lock-wait-timeout={round(origin.limits.stalled * 1000)}",
             f"--dbname={conninfo.make_conninfo('', **given)}"]  # fmt: skip
    with running(words, environment(**more), origin.limits, secrets=secrets, hidden=hidden) as tool:
        yield ToolDump(tool, path, origin, _whole, _PERMANENT)


def check(chunks: Iterator[bytes], tools: Path | None, scratch: Scratch) -> None:
    """All of it is read as for a restore, without a server."""
    restore, watched = find(["pg_restore"], tools, _PACKAGE), Watched(chunks)
    with TemporaryFile() as said:
        process = subprocess.Popen(
            [restore, "--file=/dev/null"], env=environment(), stdin=subprocess.PIPE, stdout=said, stderr=said
        )
        try:
            if process.stdin is not None:
                with contextlib.suppress(BrokenPipeError), process.stdin as pipe:  # it has seen enough, and says why
                    for chunk in watched:
                        pipe.write(chunk)
            status = process.wait()
        finally:
            process.kill()
            process.wait()
        if status:
            said.seek(0)
            lines = said.read(10_000).decode(errors="replace").splitlines()
            raise Damaged(f"pg_restore cannot read it: {' | '.join(lines)}"[:2000])
    if not watched.tail.endswith(_END):
        raise Damaged("something is behind its end")  # where pg_restore does not look


def _whole(head: bytes, tail: bytes) -> str:
    try:
        server = _server(head)
    except (ValueError, IndexError, UnicodeDecodeError):
        raise NotWhole("pg_dump said that all went well, but has written no dump") from None
    if not tail.endswith(_END):
        raise NotWhole("pg_dump said that all went well, but its dump has no end")
    return f"PostgreSQL {server}"


def _server(head: bytes) -> str:
    """The server's version, which stands behind the magic, the time and the database's name (pg_backup_archiver.c)."""
    if head[:5] != b"PGDMP":
        raise ValueError("no custom dump")
    width = head[8]  # of integers, each behind a byte for its sign
    place = 11 + (1 if tuple(head[5:7]) >= (1, 15) else width + 1) + 7 * (width + 1)
    for _ in range(2):
        length = int.from_bytes(head[place + 1 : place + 1 + width], "little")
        text = head[place + 1 + width : place + 1 + width + length].decode()
        place += 1 + width + length
    return text.partition(" ")[0]
