"""``carrier backup``: what is stored, and whether it is whole."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from carrier.commands.terminal import plain, table
from carrier.monitor.units import size

if TYPE_CHECKING:
    from actors.backup.verify import Stored


@click.group("backup")
def command() -> None:
    """Look at backups."""


@command.command("list")
@click.option("--database", help="Those of this one only.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(database: str | None, as_json: bool) -> None:
    """Show what is stored under BACKUP_ROOT, the oldest first."""
    from actors.backup.verify import backups
    from settings import get_settings

    settings = get_settings()
    found = [each for each in backups(settings) if database in (None, each.manifest.database)]
    if as_json:
        click.echo(json.dumps([_fields(each) for each in found]))
        return
    if not found:
        click.echo(f"There are no backups under {settings.backups}. Make one: carrier send backup default")
        return
    head = ("id", "made", "engine", "took", "size", "stored", "encrypted", "verified")
    rows = [
        (
            made.id,
            _moment(made.created_at),
            made.engine,
            f"{made.seconds:.1f} s",
            size(made.bytes),
            size(made.stored_bytes),
            "yes" if made.recipients else "no",
            each.state if made.verified_at is None or each.state == "missing" else _moment(made.verified_at),
        )
        for each in found
        for made in [each.manifest]
    ]
    table(head, rows)


@command.command("verify")
@click.argument("id_", metavar="ID")
@click.option(
    "--identity",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file of age identities, for an encrypted one; BACKUP_IDENTITY without it.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def verify(id_: str, identity: Path | None, as_json: bool) -> None:
    """Read all of a backup: its bytes first, then what is in them, as a restore would."""
    from actors.backup.verify import find
    from actors.backup.verify import verify as read
    from settings import get_settings

    settings = get_settings()
    backup = find(id_, settings)
    with click.progressbar(length=2 * backup.manifest.stored_bytes, label="Reading", file=sys.stderr) as bar:
        verified = read(backup, settings, identity or settings.backup_identity, bar.update)
    if as_json:
        click.echo(json.dumps(_fields(verified)))
    else:
        click.echo(plain(f"{id_} is whole: {size(backup.manifest.stored_bytes)} were read, and what is in them."))


def _fields(backup: Stored) -> dict[str, Any]:
    fields = backup.manifest.model_dump(mode="json", exclude={"carrier_backup", "file"})
    return {**fields, "path": str(backup.path), "state": backup.state}


def _moment(value: Any) -> str:
    return f"{value:%Y-%m-%d %H:%M:%SZ}"
