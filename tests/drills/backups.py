"""Backups of large databases come back as they were; and one that takes longer than RabbitMQ waits is made once."""

from __future__ import annotations

import json
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path

import pyrage

from actors.backup.payload import Backup
from actors.backup.run import back_up
from actors.backup.stages import decompressed, decrypted, stored
from settings import read_settings
from tests.actors.backup.engines import Database, Mariadb, Postgresql, Sqlite
from tests.drills.drill import RABBITMQ, Drill
from tests.drills.load import Load
from tests.drills.site import EMBEDDED, Site
from tests.servers.mariadb import MariadbNode
from tests.servers.postgresql import PostgresqlNode

#: Seconds that a backup takes, and milliseconds for which RabbitMQ waits for an acknowledgement.
_SECONDS, _TIMEOUT = 55, 15_000


def restore(site: Site, rows: int) -> str:
    """Each engine's database is backed up, compressed and encrypted, restored, and compared."""
    identity = pyrage.x25519.Identity.generate()
    keys = site.folder / "keys"
    keys.write_text(str(identity))
    said, number = [], 0
    with site.notes.path.open("w") as notes:
        for make in (_postgresql, _mariadb, _sqlite):
            database = make(site)
            database.grow(rows)
            config = site.folder / f"{database.engine}.toml"
            config.write_text(f"[databases.app]\nurl = '{database.url}'\nrecipients = ['{identity.to_public()}']\n")
            settings = read_settings().model_copy(update={"carrier_home": site.home})
            settings = settings.model_copy(update={"config": settings.config.model_validate(_toml(config))})
            began = time.monotonic()
            place, made = back_up(Backup(database="app", path=database.engine), f"id-{number}", settings)
            took = time.monotonic() - began
            dump = site.folder / f"{database.engine}.dump"
            with dump.open("wb") as file:
                for chunk in decompressed(decrypted(stored(place.folder / made.file), keys)):
                    file.write(chunk)
            began = time.monotonic()
            notes.write(f"sent {number} 0 0 0\n")
            if database.restored(dump) == database.contents():
                notes.write(f"done {number} 0\n")
            said.append(
                f"{database.engine} {made.bytes / 1e6:.0f} MB in {took:.0f} s, back and compared in"
                f" {time.monotonic() - began:.0f} s"
            )
            number += 1
    return "; ".join(said)


def _toml(path: Path) -> object:
    import tomllib

    return tomllib.loads(path.read_text())


def _postgresql(site: Site) -> Database:
    node = PostgresqlNode(Path(tempfile.mkdtemp(prefix="carrier-postgresql-")))
    site.ending.callback(node.stop)
    node.wait()
    return Postgresql(node)


def _mariadb(site: Site) -> Database:
    node = MariadbNode(Path(tempfile.mkdtemp(prefix="carrier-mariadb-")))
    site.ending.callback(node.stop)
    node.wait()
    return Mariadb(node)


def _sqlite(site: Site) -> Database:
    return Sqlite(site.folder / "app.db")


def outlast(site: Site, messages: int) -> str:
    """RabbitMQ takes the message back again and again while its backup is being made."""
    program = site.folder / "tools" / "mysqldump"
    program.parent.mkdir()
    program.write_text(
        '#!/bin/bash\n[ "$1" = --version ] && echo "mysqldump 1" && exit\necho begun >>"$HOME/begun"\n'
        f"for n in {{1..{_SECONDS}}}; do echo \"-- $n\"; sleep 1; done; echo '-- Dump completed'\n"
    )
    program.chmod(0o755)
    (site.folder / "carrier.toml").write_text(
        f"[databases.slow]\nurl = 'mariadb://localhost/x'\ntools = '{program.parent}'\n"
    )
    site.send(Load(messages, actor="save")).wait(60)
    site.workers(2)
    site.load_for(_SECONDS + 60, lambda: not site.notes.read().open)
    site.settle()
    begun = len((site.folder / "begun").read_text().splitlines())
    made = [json.loads(path.read_bytes()) for path in (site.home / "backups").glob("*.json")]
    assert len({each["message_id"] for each in made}) == len(made) == begun == messages, (begun, made)
    with closing(sqlite3.connect(site.home / "carrier.db")) as store:
        done = [what for (what,) in store.execute("SELECT what FROM history")].count("done")
    taken_back = (site.folder / "workers.log").read_text().count("RabbitMQ ended the consumer")
    return (
        f"RabbitMQ waits for {_TIMEOUT // 1000} s, a backup takes {_SECONDS} s: taken back {taken_back} times, {begun}"
        f" made, done {done} times"
    )


DRILLS = (
    Drill(
        "backup",
        "databases of PostgreSQL, MariaDB and SQLite are backed up, compressed and encrypted, restored and compared;"
        " lost is what is not what it was",
        restore,
        1_000_000,
        brokers=(EMBEDDED,),
    ),
    Drill(
        "backup-outlasts",
        "a backup takes longer than RabbitMQ waits for an acknowledgement: the message is handed out again while it is"
        " made",
        outlast,
        1,
        brokers=RABBITMQ,
        config={"consumer_timeout": _TIMEOUT, "channel_tick_interval": 1_000},
    ),
)
