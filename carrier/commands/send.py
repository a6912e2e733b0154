"""``carrier send``: one message from the command line, or envelopes from a file."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, TextIO

import click

from carrier.commands.duration import Duration


def _message_options(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--max-attempts", type=click.IntRange(1), help="Attempts in all, the first included."),
        click.option("--priority", type=click.IntRange(0, 9), help="0 to 9, the most urgent."),
        click.option("--delay", type=Duration(), default=0.0, help="Not before this time is over: 30s, 10m, 2h."),
    ):
        function = option(function)
    return function


@click.group("send", invoke_without_command=True)
@click.option(
    "--envelope", type=click.File(encoding="utf-8"), help="Envelopes, one JSON object a line; - is standard input."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, envelope: TextIO | None, as_json: bool) -> None:
    """Send a message; it is stored safely when this returns."""
    if ctx.invoked_subcommand is not None:
        return
    if envelope is None:
        raise click.UsageError("name a message type, or give --envelope FILE", ctx)
    from carrier.messaging.application import load
    from carrier.messaging.encoder import message_of
    from carrier.messaging.envelope import decode
    from carrier.messaging.errors import CarrierError, UnknownMessageType

    broker, ready = load(), []
    for number, line in enumerate(envelope, 1):
        if not line.strip():
            continue
        try:
            read = decode(line.encode("utf-8", "surrogateescape"))
            if read.type not in broker.actors:
                raise UnknownMessageType(read.type, broker.actors)
        except CarrierError as error:
            raise click.ClickException(f"{envelope.name}, line {number}: {error}; nothing was sent") from None
        actor = broker.actors[read.type]
        actor.message_with_options(kwargs=read.payload)  # raises what is wrong with it
        message = message_of(read, actor.queue_name)
        options = {"max_attempts": read.max_attempts, "broker_priority": read.priority, "delay": read.delay * 1000}
        ready.append(message.copy(options=options))
    _show([(each.message_id, each.actor_name, each.queue_name) for each in broker.enqueue_many(ready)], as_json)


def _send(type_: str, payload: dict[str, Any], options: dict[str, Any]) -> None:
    from carrier.messaging.service import messages

    as_json = options.pop("as_json")
    given = {name: value for name, value in payload.items() if value not in (None, ())}
    id_ = messages.send(type_, given, **options)
    _show([(id_, type_, messages.broker.actors[type_].queue_name)], as_json)


def _show(sent: list[tuple[str, str, str]], as_json: bool) -> None:
    """Print id, type and queue of each."""
    if as_json:
        click.echo(json.dumps([{"id": id_, "type": type_, "queue": queue} for id_, type_, queue in sent]))
    else:
        for id_, type_, queue in sent:
            click.echo(f"{id_}  {type_} on {queue}")


@command.command("email")
@click.argument("to")
@click.argument("subject")
@click.argument("body", required=False)
@click.option("--html", help="The body in HTML, beside the text or alone.")
@click.option("--cc", multiple=True, help="Repeatable.")
@click.option("--bcc", multiple=True, help="Repeatable.")
@_message_options
def email(
    to: str, subject: str, body: str | None, html: str | None, cc: tuple[str], bcc: tuple[str], **options: Any
) -> None:
    """Send an e-mail."""
    payload = {
        "to": to,
        "subject": subject,
        "body": body,
        "html": html,
        "cc": list(cc) or None,
        "bcc": list(bcc) or None,
    }
    _send("email", payload, options)


@command.command("backup")
@click.argument("database")
@click.option("--path", help="A folder under BACKUP_ROOT.")
@click.option("--compress/--no-compress", default=True, show_default=True)
@_message_options
def backup(database: str, path: str | None, compress: bool, **options: Any) -> None:
    """Back up a configured database."""
    _send("backup", {"database": database, "path": path, "compress": compress}, options)


@command.command("cleanup")
@click.argument("type", metavar="POLICY")
@click.argument("days", type=float)
@click.option("--dry-run", is_flag=True, help="Delete nothing, only say what would go.")
@_message_options
def cleanup(type: str, days: float, dry_run: bool, **options: Any) -> None:
    """Delete files older than DAYS days by a policy."""
    _send("cleanup", {"type": type, "days": days, "dry_run": dry_run}, options)


@command.command("notification")
@click.argument("user_id")
@click.argument("type", metavar="CHANNEL")
@click.argument("title")
@click.argument("message")
@_message_options
def notification(user_id: str, type: str, title: str, message: str, **options: Any) -> None:
    """Notify a user by a channel: inbox or email."""
    _send("notification", {"user_id": user_id, "type": type, "title": title, "message": message}, options)
