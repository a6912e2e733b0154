"""``carrier failed``: look at failed messages, send them back, or throw them away."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import click

from carrier.commands.terminal import lines, plain, table


@click.group("failed")
def command() -> None:
    """Look at failed messages, send them back, or throw them away."""


@command.command("list")
@click.option("--limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_list(limit: int, as_json: bool) -> None:
    """List failed messages, in the order of the queue."""
    from carrier.messaging.application import load
    from carrier.monitor import failed

    listing = failed.find(load(), limit=limit)
    found = [each.summary() for each in listing.messages]
    if as_json:
        click.echo(json.dumps(found))
        return
    if not found:
        click.echo("Nothing has failed.")
        return
    rows = [
        (each["id"], each["type"] or "(unreadable)", each["failed_at"] or None, each["attempts"], _why(each))
        for each in found
    ]
    table(("id", "type", "failed at", "attempts", "error"), rows)
    if listing.total > len(found):
        click.echo(f"… and {listing.total - len(found)} more: --limit {listing.total}")


@command.command("show")
@click.argument("id")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_one(id: str, as_json: bool) -> None:
    """Show all of a failed message: every attempt, the traceback, the message itself."""
    from carrier.messaging.application import load
    from carrier.monitor import failed

    found = [each.details() for each in failed.find(load(), {id}).messages]
    if not found:
        raise click.ClickException(f"no failed message has the id {id}")
    if as_json:
        click.echo(json.dumps(found))
        return
    for details in found:
        _show(details)


def _selection(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "everything", is_flag=True, help="All failed messages."),
        click.argument("ids", nargs=-1, metavar="[ID]..."),
    ):
        function = option(function)
    return function


@command.command("retry")
@_selection
def retry(**selection: Any) -> None:
    """Send failed messages back to their queues, with a fresh count of attempts."""
    from carrier.monitor import failed

    _mend("Send back", "sent back", failed.retry, **selection)


@command.command("discard")
@_selection
def discard(**selection: Any) -> None:
    """Throw failed messages away, for good."""
    from carrier.monitor import failed

    _mend("Throw away", "thrown away", failed.discard, **selection)


def _mend(
    verb: str, past: str, mend: Callable[..., Any], ids: tuple[str, ...], everything: bool, yes: bool, as_json: bool
) -> None:
    from carrier.messaging.application import load
    from carrier.monitor.failed import find

    if bool(ids) == everything:
        raise click.UsageError("give ids (carrier failed list shows them), or --all")
    broker = load()
    if everything and not yes:
        total = find(broker, limit=0).total
        click.confirm(f"{verb} all failed messages ({total})?", abort=True, err=True)
    mended = mend(broker, None if everything else frozenset(ids))
    broker.close()
    if ids and not mended.counted:
        raise click.ClickException("none of these ids is in failed_queue; carrier failed list shows those that are")
    if as_json:
        skipped = mended.counted - mended.done
        click.echo(json.dumps({"counted": mended.counted, "done": mended.done, "skipped": skipped}))
    else:
        click.echo(f"{mended.done} of {mended.counted} {past}.")
    for id_, why in mended.kept.items():
        click.echo(plain(f"carrier: {id_} stays: {why}"), err=True)
    if mended.counted < len(set(ids)):
        raise click.ClickException(f"ids that are not in failed_queue: {len(set(ids)) - mended.counted}")
    if mended.done < mended.counted:
        raise click.ClickException(f"still in failed_queue: {mended.counted - mended.done}")


def _show(details: dict[str, Any]) -> None:
    failure = details["failure"]
    for name, value in (
        ("id", details["id"]),
        ("type", details["type"]),
        ("queue", details["queue"]),
        ("reason", failure.get("reason", "")),
        ("error", f"{details['error']}: {details['message']}"),
        ("failed at", details["failed_at"]),
    ):
        click.echo(f"{name:<10} {plain(str(value))}")
    attempts = [each for each in failure.get("attempts", []) if isinstance(each, dict)]
    for each in attempts:
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
