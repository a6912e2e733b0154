"""``carrier web``: the console, until SIGTERM."""

from __future__ import annotations

import os
import socket

import click

from carrier.commands import log_to_stderr
from carrier.loopback import is_loopback


@click.command("web")
@click.option("--host", help="Where to listen, instead of CONSOLE_HOST (127.0.0.1).")
@click.option("--port", type=click.IntRange(1, 65535), help="Instead of PORT (8642).")
def command(host: str | None, port: int | None) -> None:
    """Serve the console: look at messages in a browser, and mend what has failed."""
    import uvicorn

    from carrier.messaging.application import load
    from carrier.monitor.console.app import application
    from settings import get_settings

    settings = get_settings()
    host, port = host or settings.console_host, port or settings.port
    if settings.console_password is None and not is_loopback(host):
        raise click.UsageError(f"{host} can be reached from elsewhere: set CONSOLE_PASSWORD first, or use 127.0.0.1")
    log_to_stderr(settings.log_level)
    listening = _listen(host, port)
    click.echo(f"The console is at http://{f'[{host}]' if ':' in host else host}:{port}", err=True)
    config = uvicorn.Config(
        application(load(), settings),
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=3,
    )
    uvicorn.Server(config).run(sockets=[listening])


def _listen(host: str, port: int) -> socket.socket:
    """Here, before anything else begins: a port that is taken is said in a line."""
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else error
        raise click.ClickException(f"cannot listen at {host}, port {port}: {reason}; set PORT") from None
