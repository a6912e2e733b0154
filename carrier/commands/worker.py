"""``carrier worker``: the same as ``dramatiq`` with the module of CARRIER_ACTORS."""

from __future__ import annotations

import sys

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
    sys.exit(cli.main(cli.make_argument_parser().parse_args(words)))
