"""``carrier failed archive``, ``restore`` and ``export``: failed messages in files."""

from __future__ import annotations

import json
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

import click

from carrier.commands.failed.mending import act
from carrier.commands.failed.selecting import chosen, filters, progress
from carrier.commands.person import person

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker
    from carrier.monitor.failed import Counted, FailedMessage, Filter

_FILE = click.Path(dir_okay=False, path_type=Path)


@click.command("archive")
@filters
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", type=_FILE)
def archive(file: Path, as_json: bool, **options: Any) -> None:
    """Move failed messages into FILE (NDJSON, zstd), out of failed_queue.

    The file is whole before the first of them goes. Without filters it is all of them. Where it was stopped half way,
    the same command goes on. Nothing in the file is masked: it is for its owner alone.
    """
    from carrier.messaging.application import load
    from carrier.monitor.failed import discard

    broker, wanted = load(), chosen(options)
    counted = _again(broker, wanted, file) if file.exists() else _written(broker, wanted, file)
    but = f"; they are in {file} too, and restoring it would bring them back"
    move = partial(discard, archive=str(file.absolute()))
    act(broker, counted, move, "Throw away", f"moved into {file}", as_json, but)


def _written(broker: Broker, wanted: Filter, file: Path) -> Counted:
    from carrier.monitor.failed import archive

    with progress("Writing") as show:
        return archive.write(broker, wanted, file, progress=show)


def _again(broker: Broker, wanted: Filter, file: Path) -> Counted:
    """Of what stands in a file already, the messages that are still in failed_queue."""
    from carrier.monitor.failed import Counted, archive, look

    there, held = archive.contents(file), Counted()

    def add(failed: FailedMessage) -> None:
        if there.takes(failed):
            held.add(failed)

    with progress("Looking") as show:
        look(broker, wanted, add, progress=show)
    if not held.number:
        raise click.ClickException(
            f"{file} exists, and nothing of that is in it and in failed_queue; name another file"
        )
    click.echo(f"{file} is there already; {held.number:,} of {there.number:,} are still in failed_queue.", err=True)
    return held


@click.command("restore")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.argument("file", type=_FILE)
def restore(file: Path, as_json: bool) -> None:
    """Put the messages of an archive back into failed_queue; the file stays."""
    from carrier.messaging.application import load
    from carrier.monitor.failed import archive

    broker = load()
    with progress("Putting back") as show:
        restored, total = archive.restore(broker, file, by=person(), progress=show)
    broker.close()
    if as_json:
        click.echo(json.dumps({"counted": total, "done": restored, "skipped": total - restored}))
    else:
        there = f"; {total - restored:,} were there" if restored < total else ""
        click.echo(f"{restored:,} of {total:,} put back into failed_queue{there}.")


@click.command("export")
@filters
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path, allow_dash=True))
def export(file: Path, **options: Any) -> None:
    """Write what carrier failed show shows, a JSON object a line, into FILE, or - for standard output.

    Secrets are masked. The messages stay.
    """
    from carrier.messaging.application import load
    from carrier.monitor.failed import archive

    broker, wanted, to_stdout = load(), chosen(options), str(file) == "-"
    # Whoever reads slowly must not keep others from the queue.
    with TemporaryFile() if to_stdout else archive.new_file(file) as written:
        with progress("Writing") as show:
            number = archive.export(broker, wanted, written, progress=show)
        if to_stdout:
            written.seek(0)
            shutil.copyfileobj(written, sys.stdout.buffer)
        else:
            click.echo(f"{number:,} written.")
