"""Options that say which failed messages are meant, and the bar that shows how far a walk through them is."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import click

from carrier.commands.duration import Duration

if TYPE_CHECKING:
    from carrier.monitor.failed import Filter
    from carrier.monitor.failed.looking import Progress

#: Messages below which no bar is worth its line.
_MANY = 500


class _Moment(click.ParamType[float]):
    """Unix time in s."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        from carrier.monitor.failed.selection import moment_of

        if isinstance(value, float):
            return value
        moment = moment_of(value)
        if moment is None:
            try:
                return time.time() - Duration().convert(value, param, ctx)
            except click.BadParameter:
                self.fail(f"{value!r} is no time; write 2026-11-26, 2026-11-26T20:45 (UTC), or 2h for that long ago")
        return moment


def filters(function: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of :func:`chosen`."""
    for option in (
        click.option("--text", default="", help="Something that stands in what is shown of them."),
        click.option("--until", type=_Moment(), help="Failed before this time, or longer ago: 2h."),
        click.option("--since", type=_Moment(), help="Failed since this time (UTC), or not longer ago: 2h, 1d."),
        click.option("--error", "errors", multiple=True, help="The error's name. Repeatable."),
        click.option("--queue", "queues", multiple=True, help="The queue that they came from. Repeatable."),
        click.option("--type", "types", multiple=True, help="The message's type. Repeatable."),
        click.option("--group", "groups", multiple=True, help="As carrier failed groups shows them. Repeatable."),
    ):
        function = option(function)
    return function


def chosen(options: dict[str, Any], ids: tuple[str, ...] = ()) -> Filter:
    """What the options say, taken out of ``options``."""
    from carrier.monitor.failed import Filter

    names = ("types", "queues", "errors", "groups", "since", "until", "text")
    return Filter(ids=frozenset(ids), **{name: options.pop(name) for name in names})


@contextmanager
def progress(label: str) -> Iterator[Progress]:
    """A bar on a terminal, for what takes long; nothing anywhere else."""
    bar: Any = None

    def show(done: int, total: int) -> None:
        nonlocal bar
        if bar is None:
            if total < _MANY or not sys.stderr.isatty():
                return
            bar = click.progressbar(length=total, label=label, file=sys.stderr, show_pos=True)
        bar.update(done - bar.pos)

    try:
        yield show
    finally:
        if bar is not None:
            bar.render_finish()
