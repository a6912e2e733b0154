"""``carrier check``: are the settings right? What starts processes asks this first."""

from __future__ import annotations

import importlib

import click

#: Modules with ``problems(settings, broker)``: the rooms above the engine know what their tables mean.
ROOMS = ("scheduler.process", "actors.check")


@click.command("check")
def command() -> None:
    """Check the settings, and say which broker they mean."""
    from carrier.messaging.application import load
    from settings import SettingsError, get_settings

    settings = get_settings()
    broker = load()
    found = [each for room in ROOMS for each in importlib.import_module(room).problems(settings, broker)]
    if found:
        raise SettingsError("\n".join(found))
    click.echo(
        "The settings are right. Broker: " + ("RabbitMQ" if settings.broker_urls else f"embedded, {settings.home}")
    )
