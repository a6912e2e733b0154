"""What is stored can be restored, and is then what it was; passwords reach the servers, and nobody else."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pyrage
import pytest

from actors.backup.payload import Backup
from actors.backup.run import back_up
from actors.backup.stages import decompressed, decrypted, stored
from actors.backup.verify import backups, verify
from carrier.messaging.errors import PermanentError
from settings import Settings
from tests.actors.backup.engines import Database
from tests.servers.mariadb import MariadbServer
from tests.servers.postgresql import WITH_PASSWORD, PostgresqlServer

Make = Callable[..., Settings]
PASSWORDS = ("a:b", "a\\b", "a#b", "a\"b'c", " lead", "trail ", "a$b&c`d", "p@ss/w?rd%", "x" * 200, "Zoë北京", "\\n")


@pytest.mark.parametrize("form", ["plain", "compressed", "encrypted", "compressed and encrypted"])
def test_a_round_trip(settings: Make, database: Database, form: str, tmp_path: Path) -> None:
    identity = pyrage.x25519.Identity.generate()
    recipients = [str(identity.to_public())] if "encrypted" in form else []
    made = settings(f"[databases.app]\nurl = '{database.url}'\nrecipients = {recipients}\n")
    place, manifest = back_up(Backup(database="app", compress="compressed" in form), "id", made)
    path = place.folder / manifest.file
    end = database.suffix + (".zst" if "compressed" in form else "") + (".age" if recipients else "")
    assert path.name == f"{manifest.id}{end}"
    assert (manifest.engine, manifest.database, manifest.recipients) == (database.engine, "app", recipients)
    assert manifest.server
    assert manifest.tool
    assert path.stat().st_size == manifest.stored_bytes
    keys = tmp_path / "keys"
    keys.write_text(f"# a comment\n{identity}\n")
    chunks = stored(path)
    if recipients:
        chunks = decrypted(chunks, keys)
    if "compressed" in form:
        chunks = decompressed(chunks)
    dump = tmp_path / "dump"
    dump.write_bytes(b"".join(chunks))
    assert dump.stat().st_size == manifest.bytes
    assert database.restored(dump) == database.contents()
    (one,) = backups(made)
    assert verify(one, made, keys if recipients else None, lambda _: None).manifest.verified_at
    assert [each.name for each in place.folder.iterdir() if each.name.startswith(manifest.id)] != []
    assert len(list(place.folder.iterdir())) == 2, "the backup, its manifest, and nothing else"
    assert all(each.stat().st_mode & 0o077 == 0 for each in [place.folder, *place.folder.iterdir()])


def see(settings: Make, good: str, bad: str, password: str) -> None:
    """That the one url is taken, the other is refused, and the password is in no answer."""
    made = settings(f"[databases.app]\nurl = '{good}'\n[databases.bad]\nurl = '{bad}'\n")
    _, manifest = back_up(Backup(database="app"), "id", made)
    assert manifest.bytes
    with pytest.raises(PermanentError, match="mend user and password in the url") as caught:
        back_up(Backup(database="bad"), "id", made)
    assert password not in str(caught.value) or len(password) < 4


@pytest.mark.parametrize("password", PASSWORDS)
def test_passwords_of_postgresql(settings: Make, postgresql_server: PostgresqlServer, password: str) -> None:
    url = postgresql_server.new_database()
    role = url.rpartition("/")[2]
    postgresql_server.execute(f"DO $$ BEGIN CREATE ROLE {WITH_PASSWORD}; EXCEPTION WHEN OTHERS THEN NULL; END $$")
    literal = password.replace("'", "''")
    postgresql_server.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{literal}' IN ROLE {WITH_PASSWORD}")
    good = url.replace("//carrier@", f"//{role}:{quote(password, safe='')}@")
    bad = url.replace("//carrier@", f"//{role}:{quote(f'{password}-no', safe='')}@")
    see(settings, good, bad, password)
    postgresql_server.drop_database(url)


@pytest.mark.parametrize("password", PASSWORDS)
def test_passwords_of_mariadb(settings: Make, mariadb_server: MariadbServer, password: str) -> None:
    name = mariadb_server.new_database()
    literal = password.replace("\\", "\\\\").replace("'", "\\'")
    mariadb_server.execute(f"CREATE USER {name} IDENTIFIED BY '{literal}'; GRANT ALL ON *.* TO {name}")
    good = mariadb_server.url(name, user=name, password=quote(password, safe=""))
    bad = mariadb_server.url(name, user=name, password=quote(f"{password}-no", safe=""))
    see(settings, good, bad, password)


def test_a_password_with_a_line_break_is_refused(settings: Make) -> None:
    made = settings(
        "[databases.one]\nurl = 'postgresql://u:a%0Ab@localhost/x'\n[databases.two]\nurl = 'mysql://u:a%0Ab@localhost/x'\n"
    )
    for name in ("one", "two"):
        with pytest.raises(PermanentError, match="line break") as caught:
            back_up(Backup(database=name), "id", made)
        assert "a\n" not in str(caught.value)
