"""The command: ``bin/drill NAME…`` or ``--all``."""

from __future__ import annotations

import sys
import time

import click

from tests.drills import (
    backups,
    broker_killed,
    console,
    delays,
    emails,
    embedded,
    ending,
    fire_times,
    handlers,
    mending,
    network,
    on_disk,
    poison,
    refusals,
    schedules,
    workers_killed,
)
from tests.drills.drill import Drill, run
from tests.drills.report import write
from tests.servers.installed import INSTALLATIONS

MODULES = (
    broker_killed,
    network,
    workers_killed,
    poison,
    refusals,
    ending,
    delays,
    embedded,
    on_disk,
    handlers,
    mending,
    console,
    emails,
    schedules,
    fire_times,
    backups,
)
DRILLS: dict[str, Drill] = {drill.name: drill for module in MODULES for drill in module.DRILLS}
#: Where stock Dramatiq is put through a drill.
BESIDE = "rabbitmq-4"


@click.command(epilog="Drills: " + ", ".join(DRILLS))
@click.argument("names", nargs=-1, metavar="NAME…")
@click.option("--all", "everything", is_flag=True, help="All drills; about an hour.")
@click.option("--messages", type=click.IntRange(20), help="How many messages, instead of the drill's own number.")
@click.option("--broker", "only", multiple=True, help="On this broker only: embedded, rabbitmq-3.10, rabbitmq-4.")
@click.option("--report", is_flag=True, help="Write the figures into docs/reliability.md.")
def main(names: tuple[str, ...], everything: bool, messages: int | None, only: tuple[str, ...], report: bool) -> None:
    """Put Carrier through what happens to systems, and count what became of each message."""
    wrong = [name for name in names if name not in DRILLS]
    if wrong or not (names or everything):
        raise click.UsageError(f"name a drill, or --all: {', '.join(DRILLS)}")
    bad = False
    for drill in DRILLS.values() if everything else [DRILLS[name] for name in names]:
        for broker, system in places(drill, only):
            began = time.monotonic()
            row = run(drill, broker, system, messages)
            click.echo(f"{row.line()}  ({time.monotonic() - began:.0f} s)")
            if report:  # after each: a run takes long
                write(DRILLS.values(), [row])
            bad |= system == "carrier" and bool(row.lost or row.waiting)
    sys.exit(bad)


def places(drill: Drill, only: tuple[str, ...]) -> list[tuple[str, str]]:
    """Where it takes place: broker and system."""
    there = {"embedded", *(f"rabbitmq-{version}" for version, each in INSTALLATIONS.items() if each.is_there)}
    brokers = [broker for broker in drill.brokers if broker in there and (not only or broker in only)]
    beside = [(BESIDE, system) for system in drill.beside if BESIDE in brokers]
    return [*((broker, "carrier") for broker in brokers), *beside]


if __name__ == "__main__":
    main()
