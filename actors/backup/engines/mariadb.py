"""MariaDB and MySQL, by mariadb-dump or mysqldump: SQL of one moment, with routines, events and triggers.

https://mariadb.com/kb/en/mariadb-dump/
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qsl, unquote, urlsplit

from actors.backup.engines.dump import Origin, Scratch, ToolDump, Watched, environment
from actors.backup.tool import Secret, find, running
from actors.backup.trouble import Damaged, NotWhole
from carrier.messaging.errors import PermanentError

NAME, SUFFIX = "mariadb", ".sql"
_PROGRAMS, _PACKAGE = ("mariadb-dump", "mysqldump"), "mariadb-client"
#: One transaction, so that it is of one moment; row by row, so that no table has to fit into memory.
_OPTIONS = ("--single-transaction", "--quick", "--routines", "--events", "--triggers", "--hex-blob",
            "--default-character-set=utf8mb4")  # fmt: skip
#: What the url may say behind its question mark, as option files have it.
_QUERY = {"unix_socket": "socket", "socket": "socket", "ssl_ca": "ssl-ca", "ssl_cert": "ssl-cert", "ssl_key": "ssl-key"}
#: What no other attempt will change, and what to do.
_PERMANENT = (
    (r"PROCESS privilege|command denied|Access denied; you need", "grant the user of the url what it has to read"),
    (r"Access denied", "mend user and password in the url"),
    (r"Unknown database", "mend the url"),
    (r"references invalid table|definer .* does not exist", "mend or drop what it names: nothing can dump it"),
    (r"unknown option|unknown variable", "install a client of the server's age or set tools beside the url"),
)
_END = re.compile(rb"-- Dump completed(?: on [^\n]*)?\n\Z")
_SERVER = re.compile(rb"^-- Server version\s+([^\n]+)", re.MULTILINE)


def program(tools: Path | None) -> str:
    """mariadb-dump, or mysqldump."""
    return find(_PROGRAMS, tools, _PACKAGE)


def room(_: Origin) -> int:
    """Nothing is on disk but the backup."""
    return 0


@contextmanager
def dump(origin: Origin) -> Iterator[ToolDump]:
    """Begin a dump; what it raises is in :class:`actors.backup.engines.dump.Engine`."""
    options, database, password = _options(origin)
    path = program(origin.tools)
    file = Secret(f"[client]\n{options}")
    # It has to be the first argument.
    words = [path, f"--defaults-extra-file={file.path}", *_OPTIONS, "--", database]
    hidden = [_quoted(password)[1:-1], password]
    with running(words, environment(), origin.limits, secrets=[file], hidden=hidden) as tool:
        yield ToolDump(tool, path, origin, _whole, _PERMANENT)


def check(chunks: Iterator[bytes], tools: Path | None, scratch: Scratch) -> None:
    """Its end is looked at; what is between only a server can read."""
    watched = Watched(chunks)
    for _ in watched:
        pass
    if _END.search(watched.tail) is None:
        raise Damaged('"-- Dump completed" is not at its end')


def _whole(head: bytes, tail: bytes) -> str:
    if _END.search(tail) is None:
        raise NotWhole('the program said that all went well, but "-- Dump completed" is not at the end')
    server = _SERVER.search(head)
    return server[1].decode(errors="replace").strip() if server else ""


def _options(origin: Origin) -> tuple[str, str, str]:
    """The option file, the database's name, and the password."""
    where = f"databases.{origin.name}: url"
    url = urlsplit(origin.url)
    database, password = unquote(url.path.removeprefix("/")), unquote(url.password or "")
    if not database or "/" in database:
        raise PermanentError(f"{where}: name one database, as in mariadb://user:password@host/database")
    given = {"user": unquote(url.username or ""), "password": password}
    if url.hostname:
        given |= {"host": url.hostname, "port": str(url.port or 3306), "protocol": "tcp"}
    for key, value in parse_qsl(url.query):
        if key not in _QUERY:
            raise PermanentError(f"{where}: behind the question mark only {', '.join(_QUERY)} are known")
        given[_QUERY[key]] = value
    if "socket" in given:
        given["protocol"] = "socket"
    if any("\n" in value or "\r" in value or "\0" in value for value in given.values()):
        raise PermanentError(f"{where}: no part of it may hold a line break")
    return "".join(f"{key}={_quoted(value)}\n" for key, value in given.items() if value), database, password


def _quoted(value: str) -> str:
    """As an option file has it: https://mariadb.com/kb/en/configuring-mariadb-with-option-files/"""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
