"""``carrier failed edit``: what was wrong in a message is put right, and sent."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click

from carrier.commands.person import person
from carrier.commands.terminal import plain

if TYPE_CHECKING:
    from carrier.messaging.outgoing import Outgoing
    from carrier.monitor.failed import FailedMessage


@click.command("edit")
@click.argument("id")
@click.option(
    "--set", "values", multiple=True, metavar="KEY=VALUE", help="Set a key of the payload: no editor. Repeatable."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def edit(id: str, values: tuple[str, ...], as_json: bool) -> None:
    """Edit a failed message's payload in $EDITOR, and send it back as a new message."""
    from carrier.messaging.application import load
    from carrier.monitor.failed import Filter, editing, find

    given = dict(_pair(each) for each in values)
    broker = load()
    found = find(broker, Filter(ids={id})).messages
    if not found:
        raise click.ClickException(f"no failed message has the id {id}")
    failed = found[0]
    try:
        out = editing.assigned(failed, given, by=person()) if given else _ask(failed)
    except editing.EditError as error:
        raise click.ClickException(f"{error}; nothing was sent") from None
    mended = editing.send(broker, failed, out, by=person())
    broker.close()
    if mended.stopped is not None:
        raise click.ClickException(f"{mended.stopped}")
    if not mended.done:
        raise click.ClickException(f"{id} is no longer in failed_queue: somebody has mended it; nothing was sent")
    if as_json:
        click.echo(json.dumps({"id": out.id, "type": out.type, "queue": out.queue, "original": id}))
    else:
        click.echo(plain(f"{out.id}  {out.type} on {out.queue}, in the place of {id}"))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise click.UsageError(f"--set {text}: write KEY=VALUE")
    return key, value


def _ask(failed: FailedMessage) -> Outgoing:
    """Have it edited until it is right, or given up."""
    from carrier.monitor.failed import editing

    draft = text = editing.draft(failed)
    while True:
        written = click.edit(text, extension=".json")
        if written is None or written == draft:
            raise click.ClickException("it was not changed; nothing was sent")
        try:
            return editing.edited(failed, written, by=person())
        except editing.EditError as error:
            click.echo(plain(f"carrier: {error}"), err=True)
            click.confirm("Edit it again?", default=True, abort=True, err=True)
            text = written
