"""Databases to be backed up, each on a real server, and how one is restored: as its own documentation says."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Protocol

import psycopg

from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import PostgresqlServer

#: Texts and bytes that somebody might take for something else.
TEXTS = ("plain", "Zoë 北京 🎉", "a'b\"c\\d`e", "line\nbreak\ttab", "\\.", "-- Dump completed", "")
BYTES = (b"", b"\x00\x01\xff", bytes(range(256)), b"\\x41")


class Database(Protocol):
    """A database with something of everything in it."""

    #: As the manifest has it, and the end of the file's name.
    engine: str
    suffix: str
    url: str

    def grow(self, rows: int) -> None:
        """Have so many more rows."""

    def restored(self, dump: Path) -> str:
        """What is in a new database that ``dump`` was restored into; as :meth:`contents` of this one."""

    def contents(self) -> str:
        """All that is in it."""


class Postgresql:
    """Large objects, views, triggers, routines, sequences, generated columns."""

    engine, suffix = "postgresql", ".dump"

    def __init__(self, server: PostgresqlServer, rows: int = 200) -> None:
        self._server = server
        self.url = server.new_database()
        with psycopg.connect(self.url, autocommit=True) as opened:
            opened.execute(
                """
                CREATE TABLE things (
                    id bigserial PRIMARY KEY, name text, data bytea, at timestamptz, price numeric(20, 4),
                    twice bigint GENERATED ALWAYS AS (id * 2) STORED, document jsonb, tags text[]
                );
                CREATE TABLE log (thing bigint, what text);
                CREATE FUNCTION noted() RETURNS trigger LANGUAGE plpgsql AS $$
                    BEGIN INSERT INTO log VALUES (NEW.id, 'made ' || NEW.name); RETURN NEW; END $$;
                CREATE TRIGGER note AFTER INSERT ON things FOR EACH ROW EXECUTE FUNCTION noted();
                CREATE VIEW cheap AS SELECT id, name FROM things WHERE price < 10;
                CREATE MATERIALIZED VIEW counted AS SELECT count(*) FROM things;
                CREATE SEQUENCE numbers START 77; SELECT nextval('numbers');
                CREATE TYPE mood AS ENUM ('good', 'bad');
                CREATE TABLE moods (mood mood DEFAULT 'good', CHECK (mood <> 'bad'));
                SELECT lo_from_bytea(4711, '\\x00ff41'::bytea);
                """
            )
            with opened.cursor() as cursor:
                cursor.executemany(
                    "INSERT INTO things (name, data, at, price, tags) VALUES (%s, %s, now(), %s, '{a}')",
                    [(TEXTS[n % len(TEXTS)], BYTES[n % len(BYTES)], n) for n in range(rows)],
                )
            opened.execute("REFRESH MATERIALIZED VIEW counted")

    def grow(self, rows: int) -> None:
        with psycopg.connect(self.url, autocommit=True) as opened:
            opened.execute(
                "INSERT INTO things (name, data, price) SELECT md5(n::text), sha256(n::text::bytea), n * 0.01"
                f" FROM generate_series(1, {rows}) AS n".encode()
            )

    def restored(self, dump: Path) -> str:
        url = self._server.new_database()
        subprocess.run(["pg_restore", "--exit-on-error", f"--dbname={url}", str(dump)], check=True)
        found = _postgresql(url)
        self._server.drop_database(url)
        return found

    def contents(self) -> str:
        return _postgresql(self.url)


def _postgresql(url: str) -> str:
    words = ["pg_dump", "--format=plain", f"--dbname={url}"]
    text = subprocess.run(words, check=True, capture_output=True, text=True).stdout
    with psycopg.connect(url) as opened:
        rows = opened.execute("SELECT count(*), md5(string_agg(things::text, ',' ORDER BY id)) FROM things").fetchone()
        objects = opened.execute("SELECT count(*), md5(lo_get(4711)) FROM pg_largeobject_metadata").fetchone()
    # A random word keeps the commands of psql apart from what is in the text.
    return f"{rows} {objects}\n" + re.sub(r"(?m)^\\(un)?restrict .*$", "", text)


class Mariadb:
    """Views, triggers, procedures, events, sequences, generated columns."""

    engine, suffix = "mariadb", ".sql"

    def __init__(self, server: MariadbServer, rows: int = 200) -> None:
        self._server = server
        self.name = server.new_database()
        self.url = server.url(self.name)
        server.execute(
            """
            CREATE TABLE things (
                id bigint AUTO_INCREMENT PRIMARY KEY, name text, data longblob, at timestamp(6) DEFAULT now(6),
                price decimal(20, 4), twice bigint GENERATED ALWAYS AS (price * 2) STORED
            );
            CREATE TABLE log (thing bigint, what text);
            CREATE TRIGGER note AFTER INSERT ON things FOR EACH ROW INSERT INTO log VALUES (NEW.id, NEW.name);
            CREATE VIEW cheap AS SELECT id, name FROM things WHERE price < 10;
            CREATE SEQUENCE numbers START WITH 77;
            CREATE PROCEDURE counted() SELECT count(*) FROM things;
            CREATE FUNCTION two() RETURNS int RETURN 2;
            CREATE EVENT nightly ON SCHEDULE EVERY 1 DAY DO DELETE FROM log WHERE thing < 0;
            SELECT nextval(numbers);
            """,
            self.name,
        )
        values = ", ".join(
            f"(x'{TEXTS[n % len(TEXTS)].encode().hex()}', x'{BYTES[n % len(BYTES)].hex()}', {n})" for n in range(rows)
        )
        server.execute(f"INSERT INTO things (name, data, price) VALUES {values}", self.name)

    def grow(self, rows: int) -> None:
        more = f"SELECT md5(seq), unhex(sha2(seq, 256)), seq * 0.01 FROM seq_1_to_{rows}"
        self._server.execute(f"INSERT INTO things (name, data, price) {more}", self.name)

    def restored(self, dump: Path) -> str:
        name = self._server.new_database()
        self._server.read(dump, name)
        found = self._contents(name)
        self._server.execute(f"DROP DATABASE {name}")
        return found

    def contents(self) -> str:
        return self._contents(self.name)

    def _contents(self, name: str) -> str:
        words = ["mariadb-dump", "--no-defaults", "--host=127.0.0.1", f"--port={self._server.port}", "--user=carrier",
                 "--protocol=tcp", "--routines", "--events", "--triggers", "--hex-blob", "--skip-dump-date",
                 "--skip-comments", name]  # fmt: skip
        rows = self._server.execute("SELECT count(*), md5(group_concat(id, name, hex(data), twice)) FROM things", name)
        return rows + subprocess.run(words, check=True, capture_output=True, text=True).stdout


class Sqlite:
    """Views, triggers, generated columns, an index."""

    engine, suffix = "sqlite", ".sqlite3"

    def __init__(self, path: Path, rows: int = 200) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"
        with closing(sqlite3.connect(path)) as opened, opened:
            opened.executescript(
                """
                PRAGMA journal_mode = WAL;
                CREATE TABLE things (id integer PRIMARY KEY, name, data, twice AS (id * 2) STORED);
                CREATE TABLE log (thing, what);
                CREATE TRIGGER note AFTER INSERT ON things BEGIN INSERT INTO log VALUES (NEW.id, NEW.name); END;
                CREATE VIEW some AS SELECT name FROM things WHERE id < 10;
                CREATE INDEX by_name ON things (name);
                """
            )
            opened.executemany(
                "INSERT INTO things (name, data) VALUES (?, ?)",
                [(TEXTS[n % len(TEXTS)], BYTES[n % len(BYTES)]) for n in range(rows)],
            )

    def grow(self, rows: int) -> None:
        with closing(sqlite3.connect(self._path)) as opened, opened:
            opened.executemany(
                "INSERT INTO things (name, data) VALUES (?, ?)",
                ((f"name {n}", hashlib.sha256(str(n).encode()).digest()) for n in range(rows)),
            )

    def restored(self, dump: Path) -> str:
        return _sqlite(dump)

    def contents(self) -> str:
        return _sqlite(self._path)


def _sqlite(path: Path) -> str:
    with closing(sqlite3.connect(path)) as opened:
        rows = opened.execute("SELECT id, name, data, twice FROM things").fetchall()
        log = opened.execute("SELECT * FROM log").fetchall()
        schema = opened.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
    return f"{len(rows)} {hashlib.sha256(repr((rows, log, schema)).encode()).hexdigest()}"
