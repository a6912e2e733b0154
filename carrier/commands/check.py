"""``carrier check``: are the settings right? What starts processes asks this first."""

from __future__ import annotations

import click


@click.command("check")
def command() -> None:
    """Check the settings, and say which broker they mean."""
    from carrier.messaging.application import load
    from settings import get_settings

    settings = get_settings()
    load()
    click.echo(
        "The settings are right. Broker: " + ("RabbitMQ" if settings.broker_urls else f"embedded, {settings.home}")
    )
