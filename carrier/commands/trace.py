"""``carrier trace``: the life of one message."""

from __future__ import annotations

import json
from typing import Any

import click

from carrier.commands.terminal import plain


@click.command("trace")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(id: str, as_json: bool) -> None:
    """Show the life of a message: sent, each attempt, failed, mended, done."""
    from carrier.messaging.application import load
    from carrier.monitor.trace import trace

    life = trace(load(), id)
    if life is None:
        raise click.ClickException(
            f"nothing is known of {id}: no worker that writes into this store has finished with it"
            " (carrier status shows what waits)"
        )
    if as_json:
        click.echo(json.dumps(life.fields()))
        return
    click.echo(plain(f"{life.type} {life.id}: {life.state} ({life.queue})".lstrip()))
    for event in life.events:
        click.echo(plain(f"{event['at']:<24}  {_sentence(event)}"))
    for each in life.recipients:
        click.echo(plain(f"{each['at']:<24}  {each['recipient']}: {each['state']} ({each['reply']})"))


def _sentence(event: dict[str, Any]) -> str:
    what, error = event["what"], f"{event.get('error', '')}: {event.get('message', '')}"
    match what:
        case "done":
            seconds = f" in {event['seconds']:g} s" if "seconds" in event else ""
            return f"done by {event.get('worker')}, attempt {event.get('attempt')}{seconds}{_original(event)}"
        case "retrying":
            then = f"; next at {event['next_at']}" if "next_at" in event else ""
            return f"attempt {event.get('attempt')} failed on {event.get('worker')}: {error}{then}"
        case "deferred":
            return f"put off by {event.get('worker')}: {event.get('message', '')}; next at {event.get('next_at')}"
        case "failed":
            where = f" on {event['worker']}, attempt {event.get('attempt')}" if "worker" in event else ""
            return f"failed{where} ({event.get('reason')}): {error}"
        case "edited" if "successor" in event:
            return f"edited by {event.get('by')}: {event['successor']} goes in its place"
        case _:
            by = f" by {event['by']}" if event.get("by") else ""
            file = f", {event['file']}" if event.get("file") else ""
            return f"{what}{by}{file}{_original(event)}"


def _original(event: dict[str, Any]) -> str:
    return f", in the place of {event['original']}" if event.get("original") else ""
