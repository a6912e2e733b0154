"""``carrier schedule``: what fires when, what became of it, and what people do about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import click

from carrier.commands.terminal import plain, table
from settings import Schedule, get_settings

if TYPE_CHECKING:
    from carrier.store.models import FireEntry

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON.")
_name = click.argument("name")


@click.group("schedule")
def command() -> None:
    """Look at the schedules of carrier.toml, and have them fire, pause and resume."""


def _schedule(name: str) -> Schedule:
    known = get_settings().schedules
    if name not in known:
        names = ", ".join(sorted(known)) or "none"
        raise click.ClickException(f"there is no schedule {name!r} in {get_settings().carrier_config} (known: {names})")
    return known[name]


@command.command("list")
@_as_json
def show_list(as_json: bool) -> None:
    """List schedules: next fire time, the last one and its outcome, and who leads."""
    from carrier.monitor.status import SKIPS
    from scheduler.overview import overview

    seen = overview(get_settings().schedules)
    if as_json:
        click.echo(json.dumps({"leader": seen.leader, "schedules": [each.fields() for each in seen.schedules]}))
        return
    if not seen.schedules:
        click.echo(f"Nothing is scheduled: add a [schedule.NAME] table to {get_settings().carrier_config}")
        return
    rows = [
        (
            each.name,
            each.type,
            each.timing,
            _moment(each.next) if each.state == "on" else each.state,
            _moment(each.last.at) if each.last else None,
            _outcome(each.last) if each.last else None,
        )
        for each in seen.schedules
    ]
    table(("schedule", "type", "timing", "next", "last", "outcome"), rows)
    click.echo()
    click.echo(plain(f"{seen.leader} leads" if seen.leader else "! no scheduler runs; start one: carrier scheduler"))
    for each in seen.schedules:
        if each.skipped >= SKIPS:
            click.echo(f"! {each.name}: the newest {each.skipped} were skipped, as the run before was not over")


@command.command("next")
@_name
@click.option("--count", type=click.IntRange(1, 1000), default=10, show_default=True, help="So many.")
@_as_json
def show_next(name: str, count: int, as_json: bool) -> None:
    """Show the next fire times of a schedule."""
    from carrier.messaging.envelope import timestamp
    from scheduler.overview import timing_in, upcoming

    schedule = _schedule(name)
    found = upcoming(timing_in(name, schedule), datetime.now(UTC), count)
    if as_json:
        click.echo(json.dumps([timestamp(at.timestamp()) for at in found]))
        return
    later = f", and up to {schedule.jitter} later" if schedule.jitter else ""
    for at in found:
        here = f"  {at.astimezone(ZoneInfo(schedule.timezone)):%H:%M:%S} {schedule.timezone}"
        click.echo(f"{_moment(at)}{here if schedule.timezone != 'UTC' else ''}{later}")


@command.command("history")
@_name
@click.option("--limit", type=click.IntRange(1, 1000), default=20, show_default=True, help="At most so many.")
@_as_json
def show_history(name: str, limit: int, as_json: bool) -> None:
    """Show what became of the newest fire times of a schedule."""
    from carrier.store import fires
    from scheduler.overview import fire_fields

    _schedule(name)
    found = fires.of(name, limit)
    if as_json:
        click.echo(json.dumps([fire_fields(each) for each in found]))
        return
    if not found:
        click.echo(f"{name} has not fired yet.")
        return
    rows = [(_moment(each.at), _outcome(each), _seconds(each), each.worker, each.message_id) for each in found]
    table(("fire time", "outcome", "seconds", "worker", "message"), rows)


@command.command("run")
@_name
def run(name: str) -> None:
    """Have a schedule fire now, whatever its timing says."""
    from carrier.messaging.application import load
    from scheduler import by_hand
    from scheduler.message import checked

    schedule = _schedule(name)
    broker = load()
    checked(name, schedule, broker, where=str(get_settings().carrier_config))
    try:
        id_ = by_hand.run(name, schedule, broker)
    finally:
        broker.close()
    click.echo(f"Sent {id_}: carrier schedule history {name}")


@command.command("pause")
@_name
def pause(name: str) -> None:
    """Have a schedule fire no more until it is resumed; also over restarts."""
    from scheduler import by_hand

    by_hand.pause(name, _schedule(name))
    click.echo(f"{name} is paused: carrier schedule resume {name}")


@command.command("resume")
@_name
def resume(name: str) -> None:
    """Have a paused schedule fire again, from now on; nothing is made up for."""
    from scheduler import by_hand

    _schedule(name)
    click.echo(f"{name} goes on" if by_hand.resume(name) else f"{name} was not paused")


def _moment(at: datetime | None) -> str | None:
    return None if at is None else f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _outcome(fire: FireEntry) -> str:
    from carrier.monitor.masking import masking

    return fire.state if fire.error is None else f"{fire.state}: {masking().mask_error(fire.error)}"


def _seconds(fire: FireEntry) -> float | None:
    return round((fire.ended - fire.began).total_seconds(), 1) if fire.ended and fire.began else None
