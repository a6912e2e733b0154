"""``carrier topology``: what is declared on RabbitMQ, and what is to be done about it."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

import click

from carrier.commands.terminal import plain, table
from carrier.messaging.broker import Broker
from carrier.messaging.declared import CarriedOver, Declared

_EMBEDDED = "The embedded broker keeps its queues in a file of its own: there is nothing to declare."
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("topology")
def command() -> None:
    """Compare and declare Carrier's queues on RabbitMQ, and carry over those of stock Dramatiq."""


@command.command("check")
@_json
def check(as_json: bool) -> None:
    """Show each queue: wanted, found, what to do. Status 1 when something differs, is at risk or is left over."""
    from carrier.messaging.application import load

    _show(load(), as_json)


@command.command("apply")
@_json
def apply(as_json: bool) -> None:
    """Declare what is missing, lift delivery limits, and show what is left to do."""
    from carrier.messaging.application import load

    broker = load()
    broker.apply()
    _show(broker, as_json)


@command.command("migrate")
@_json
def migrate(as_json: bool) -> None:
    """Carry over what stock Dramatiq has left: delayed messages keep what is left of their delay, and what it has given
    up is put into failed_queue. Stop its workers first; running it again carries over what came meanwhile."""
    from carrier.messaging.application import load

    broker = load()
    moved = broker.carry_over()
    broker.close()
    if not _told(moved, as_json, "There is nothing of stock Dramatiq to carry over."):
        for each in moved:
            click.echo(f"{each.queue}: {each.moved} carried over to {each.to}")
            if each.consumers:
                click.echo(f"{each.queue}: workers of stock Dramatiq still take from it ({each.consumers}), and hold "
                           "what is not to be seen: stop them, and run this again")  # fmt: skip
    if any(each.consumers for each in moved):
        sys.exit(1)


def _show(broker: Broker, as_json: bool) -> None:
    found = broker.inspect()
    broker.close()
    if not _told(found, as_json, _EMBEDDED):
        rows = [(each.name, each.state, each.wanted, each.found or "nothing") for each in found]
        table(("queue", "state", "wanted", "found"), rows)
        for todo in dict.fromkeys(each.todo for each in found if each.todo):
            names = ", ".join(each.name for each in found if each.todo == todo)
            click.echo(plain(f"{names}: {todo}"))
    if any(each.state in ("differs", "at risk", "left over") for each in found):
        sys.exit(1)


def _told(found: Sequence[Declared | CarriedOver], as_json: bool, nothing: str) -> bool:
    """Print JSON, or that there is nothing; returns whether that was all there is to say."""
    if as_json:
        click.echo(json.dumps([asdict(each) for each in found]))
    elif not found:
        click.echo(nothing)
    return as_json or not found
