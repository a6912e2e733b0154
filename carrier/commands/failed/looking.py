"""``carrier failed list``, ``groups`` and ``show``: looking harms nothing."""

from __future__ import annotations

import json
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import click

from carrier.commands.failed.selecting import chosen, filters, progress
from carrier.commands.terminal import lines, plain, table

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker
    from carrier.monitor.failed import FailedMessage, Group
    from carrier.monitor.failed.index import Index

#: Seconds between two looks of --watch.
_EVERY = 0.5


@click.command("list")
@filters
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_list(limit: int, as_json: bool, **options: Any) -> None:
    """List failed messages."""
    from carrier.messaging.application import load
    from carrier.monitor.failed import look

    wanted, found = chosen(options), list[Any]()

    # They are kept, and printed when all are found: whoever reads slowly must not keep others from the queue.
    def add(failed: FailedMessage) -> None:
        summary = failed.summary()
        found.append(json.dumps(summary) if as_json else _row(summary))

    with progress("Looking") as show:
        total = look(load(), wanted, add, limit=limit, progress=show)
    if as_json:
        click.echo("[", nl=False)
        for number, each in enumerate(found):
            click.echo(f",\n{each}" if number else each, nl=False)
        click.echo("]")
        return
    if not found:
        click.echo("Nothing has failed." if wanted.is_everything else "Nothing of that has failed.")
        return
    found.sort(key=lambda row: row[2] or "", reverse=True)
    table(("id", "type", "failed at", "attempts", "error"), found)
    if total > len(found):
        more = f"--limit {total} shows all, carrier failed groups their causes"
        click.echo(f"These {len(found):,} have been there longest; {total - len(found):,} more: {more}")


@click.command("groups")
@filters
@click.option("--watch", is_flag=True, help="Show them as they come and go, until ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_groups(watch: bool, as_json: bool, **options: Any) -> None:
    """Show what has failed for one cause each, the most frequent first."""
    from carrier.messaging.application import load
    from carrier.monitor.failed import groups

    wanted = chosen(options)
    if watch:
        if not wanted.is_everything:
            raise click.UsageError("--watch shows all groups; leave the filters out")
        _watch(load(), as_json)
        return
    with progress("Looking") as show:
        found = groups(load(), wanted, progress=show)
    if as_json:
        click.echo(json.dumps([each.fields() for each in found]))
    elif not found:
        click.echo("Nothing has failed." if wanted.is_everything else "Nothing of that has failed.")
    else:
        _table_of(found)
        click.echo(f"\ncarrier failed list|retry|discard --group {found[0].fingerprint}")


def _watch(broker: Broker, as_json: bool) -> None:
    from carrier.monitor.failed.index import Index

    with closing(Index(broker)) as index:
        shown: Any = None
        while True:
            found = index.groups()
            now = [each.fields() for each in found], index.is_whole, index.trouble
            if now != shown:
                shown = now
                if as_json:
                    click.echo(json.dumps(now[0]))
                else:
                    _show_screen(found, index)
            time.sleep(_EVERY)  # the index is asked, it does not tell


def _show_screen(found: list[Group], index: Index) -> None:
    click.clear()
    state = index.trouble or ("as they come" if index.is_whole else "still looking")
    click.echo(plain(f"{sum(each.count for each in found):,} failed messages, {state}; ctrl-C ends it\n"))
    if found:
        _table_of(found)


def _table_of(found: list[Group]) -> None:
    rows = [
        (each.fingerprint, each.count, each.type or "(unreadable)", each.last_at or None, _why(each.fields()))
        for each in found
    ]
    table(("group", "count", "type", "last at", "error"), rows)


@click.command("show")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_one(id: str, as_json: bool) -> None:
    """Show all of a failed message: every attempt, the traceback, the message itself."""
    from carrier.messaging.application import load
    from carrier.monitor.failed import Filter, find

    with progress("Looking") as show:
        found = [each.details() for each in find(load(), Filter(ids={id}), progress=show).messages]
    if not found:
        raise click.ClickException(f"no failed message has the id {id}")
    if as_json:
        click.echo(json.dumps(found))
        return
    for details in found:
        _show(details)


def _row(summary: dict[str, Any]) -> tuple[Any, ...]:
    type_, failed_at = summary["type"] or "(unreadable)", summary["failed_at"] or None
    return summary["id"], type_, failed_at, summary["attempts"], _why(summary)


def _show(details: dict[str, Any]) -> None:
    failure = details["failure"]
    for name, value in (
        ("id", details["id"]),
        ("type", details["type"]),
        ("queue", details["queue"]),
        ("reason", failure.get("reason", "")),
        ("error", f"{details['error']}: {details['message']}"),
        ("place", failure.get("place", "")),
        ("failed at", details["failed_at"]),
        ("group", details["fingerprint"]),
    ):
        click.echo(f"{name:<10} {plain(str(value))}")
    for each in failure.get("attempts", []):
        shown = {name: plain(str(each.get(name, "?"))) for name in ("attempt", "at", "worker", "error", "message")}
        click.echo("attempt {attempt:<3} {at} on {worker}: {error}: {message}".format_map(shown))
    if failure.get("traceback"):
        click.echo(f"\n{lines(str(failure['traceback']))}")
    body = details["body"] if "body" in details else json.dumps(details["envelope"], indent=2, ensure_ascii=False)
    click.echo(f"\n{lines(body)}\n")


def _why(summary: dict[str, Any], limit: int = 100) -> str:
    """The error in one line, its class without the module."""
    if not summary["error"]:
        return "nobody wrote down why"
    text = f"{summary['error'].rpartition('.')[2]}: {summary['message']}".replace("\n", " ")
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
