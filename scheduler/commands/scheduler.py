"""``carrier scheduler``."""

from __future__ import annotations

import click

from carrier.commands import log_to_stderr
from settings import get_settings


@click.command("scheduler")
def command() -> None:
    """Send the recurring messages of carrier.toml, until SIGTERM or ctrl-C."""
    from scheduler.process import run

    log_to_stderr(get_settings().log_level)
    run()
