"""``carrier status``: how it goes, at a glance."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Any

import click

from carrier.commands.terminal import plain, table
from carrier.messaging.figures import Figures
from carrier.monitor.units import size

#: Seconds between two looks of --watch.
_EVERY = 2.0


@click.command("status")
@click.option("--watch", is_flag=True, help="Look again every 2 s, until ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(watch: bool, as_json: bool) -> None:
    """Show queues, workers and what is wrong."""
    from carrier.messaging.application import load
    from carrier.monitor.status import status

    broker = load()
    while True:
        figures = status(broker)
        if watch and not as_json:
            click.clear()
        if as_json:
            fields = asdict(figures)
            click.echo(json.dumps({**fields, "workers": fields["workers"] or []}))
        else:
            _show(figures)
        if not watch:
            return
        time.sleep(_EVERY)  # figures are asked for, not told


def _show(figures: Figures) -> None:
    broker = figures.broker
    if broker["kind"] == "rabbitmq":
        click.echo(f"RabbitMQ {broker['version']} at {broker['nodes']}")
    else:
        click.echo(f"Embedded broker, {broker['file']}")
    click.echo()
    head = ("queue", "ready", "unacked", "delayed", "consumers", "in/s", "done/s")
    rows = [
        (each.name, each.ready, each.unacked, each.delayed, each.consumers, each.publish_rate, each.ack_rate)
        for each in figures.queues
    ]
    # A column that this broker knows nothing of is left out.
    known = [number for number in range(len(head)) if any(row[number] is not None for row in rows)]
    table([head[number] for number in known], [[row[number] for number in known] for row in rows])
    click.echo()
    if broker["delayed"] and all(each.delayed is None for each in figures.queues):
        click.echo(f"{broker['delayed']} delayed, over all queues")
    for worker in figures.workers or []:
        click.echo(plain(f"worker {worker.host}:{worker.process} takes from {', '.join(worker.queues)}"))
    for each in figures.work:
        click.echo(plain(f"{each['name']} by {each['worker']}{_so_far(each)}"))
    for alarm in figures.alarms:
        click.secho(plain(f"! {alarm}"), fg="yellow")


def _so_far(work: dict[str, Any]) -> str:
    """How far it has come, where that is known."""
    read, stored, seconds = (work.get(name) for name in ("bytes", "stored_bytes", "seconds"))
    if read is None or stored is None or not seconds:
        return ""
    return f": {size(read)} read, {size(stored)} stored, {seconds:.0f} s, {size(read / seconds)}/s"
