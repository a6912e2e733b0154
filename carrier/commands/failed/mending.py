"""``carrier failed retry`` and ``discard``: what is counted first is what is acted on."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from carrier.commands.failed.selecting import chosen, filters, progress
from carrier.commands.person import person
from carrier.commands.terminal import plain

if TYPE_CHECKING:
    from carrier.messaging.broker import Broker
    from carrier.monitor.failed import Counted, Mended

#: Ids of messages that stay, that are named one by one.
_NAMED = 20


def _selection(function: Callable[..., None]) -> Callable[..., None]:
    for option in (
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
        click.option("--yes", is_flag=True, help="Do not ask."),
        click.option("--all", "everything", is_flag=True, help="All failed messages."),
        filters,
        click.argument("ids", nargs=-1, metavar="[ID]..."),
    ):
        function = option(function)
    return function


@click.command("retry")
@_selection
def retry(**options: Any) -> None:
    """Send failed messages back to their queues, with a fresh count of attempts."""
    from carrier.monitor import failed

    _mend("Send back", "sent back", failed.retry, **options)


@click.command("discard")
@_selection
def discard(**options: Any) -> None:
    """Throw failed messages away, for good."""
    from carrier.monitor import failed

    _mend("Throw away", "thrown away", failed.discard, asks=sys.stdin.isatty(), **options)


def _mend(
    verb: str,
    past: str,
    mend: Callable[..., Mended],
    ids: tuple[str, ...],
    everything: bool,
    yes: bool,
    as_json: bool,
    asks: bool = False,
    **options: Any,
) -> None:
    from carrier.messaging.application import load
    from carrier.monitor.failed import count

    wanted = chosen(options, ids)
    if wanted.is_everything != everything:
        raise click.UsageError("give ids or --group and the like (carrier failed list shows them), or --all")
    broker = load()
    with progress("Counting") as show:
        counted = count(broker, wanted, progress=show)
    if ids and not counted.number:
        raise click.ClickException("none of these ids is in failed_queue; carrier failed list shows those that are")
    if not everything and not counted.number and not as_json:
        raise click.ClickException(
            "nothing in failed_queue is meant by that; carrier failed groups shows what is there"
        )
    what = "all failed messages" if everything else "failed messages"
    if not yes and counted.number and (everything or (asks and not ids)):
        click.confirm(f"{verb} {what} ({counted.number:,})?", abort=True, err=True)
    elif not ids and not as_json:
        click.echo(f"{verb} {what} ({counted.number:,}).", err=True)
    act(broker, counted, mend, verb, past, as_json)
    if (missing := len(set(ids)) - counted.number) > 0:
        raise click.ClickException(f"ids that are not in failed_queue: {missing}")


def act(
    broker: Broker,
    counted: Counted,
    mend: Callable[..., Mended],
    verb: str,
    past: str,
    as_json: bool,
    but: str = "",
) -> None:
    """Do it with what was counted, and say what was done.

    Parameters:
        but: what is to be said of those that were gone.

    Raises:
        click.ClickException: not all of it could be done.
        click.Abort: Ctrl-C has ended it.
    """
    with progress(verb) as show:
        mended = mend(broker, counted, by=person(), progress=show)
    broker.close()
    skipped = counted.number - mended.done
    if as_json:
        click.echo(json.dumps({"counted": counted.number, "done": mended.done, "skipped": skipped}))
    else:
        click.echo(f"{mended.done:,} of {counted.number:,} {past}.")
    for id_, why in list(mended.kept.items())[:_NAMED]:
        click.echo(plain(f"carrier: {id_} stays: {why}"), err=True)
    if len(mended.kept) > _NAMED:
        click.echo(f"carrier: … and {len(mended.kept) - _NAMED:,} more stay", err=True)
    if isinstance(mended.stopped, KeyboardInterrupt):
        click.echo(f"carrier: stopped: {skipped:,} are where they were", err=True)
        raise click.Abort
    if mended.stopped is not None:
        raise click.ClickException(f"{mended.stopped}; {skipped:,} are where they were")
    if gone := counted.number - mended.done - mended.kept_number:
        click.echo(f"carrier: {gone:,} were gone: somebody else was faster{but}", err=True)
    if mended.kept_number:
        raise click.ClickException(f"still in failed_queue: {mended.kept_number:,}")
