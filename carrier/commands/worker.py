"""``carrier worker``: the same as ``dramatiq`` with the module of CARRIER_ACTORS, and it ends at once.

Dramatiq's command looks once a second whether the thread that gathers its processes' logs is to end: it stays for a
second after all of them have gone.
"""

from __future__ import annotations

import multiprocessing
import sys
import threading
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection

import click


@click.command("worker")
@click.option("--processes", "-p", type=click.IntRange(1, 100), default=1, show_default=True, help="Worker processes.")
@click.option("--threads", "-t", type=click.IntRange(1, 1000), default=8, show_default=True, help="Threads in each.")
@click.option("--queue", "-q", "queues", multiple=True, metavar="NAME", help="Work on this queue only; repeatable.")
def command(processes: int, threads: int, queues: tuple[str, ...]) -> None:
    """Work on messages, until SIGTERM or ctrl-C."""
    from dramatiq import cli

    from settings import get_settings

    settings = get_settings()
    words = [settings.carrier_actors, "--processes", str(processes), "--threads", str(threads)]
    if queues:
        words += ["--queues", *queues]
    if settings.log_level == "DEBUG":
        words.append("--verbose")
    cli.watch_logs = _told_to_stop(cli.watch_logs)
    sys.exit(cli.main(cli.make_argument_parser().parse_args(words)))


#: What Dramatiq's command has in a thread: given the name of a file, pipes to read from, and when to stop.
_Watching = Callable[[str | None, Sequence[Connection], threading.Event], None]


def _told_to_stop(watch_logs: _Watching) -> _Watching:
    """Dramatiq's thread that waits for what its processes log, woken when it is to stop."""

    def watch(log_filename: str | None, pipes: Sequence[Connection], stop: threading.Event) -> None:
        news, end = multiprocessing.Pipe(duplex=False)

        def wake() -> None:
            stop.wait()
            end.close()  # to who waits at the other end, something has happened there

        threading.Thread(target=wake, name="carrier-logs", daemon=True).start()
        watch_logs(log_filename, [*pipes, news], stop)

    return watch
