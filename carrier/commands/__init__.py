"""The ``carrier`` command. Each command is a call into a room, in a module of its own that is imported when it is asked
for: ``carrier send`` must not wait for what ``carrier scheduler`` needs.
"""

from __future__ import annotations

import importlib
import logging
import sys
from typing import NoReturn

import click

from carrier.commands.terminal import plain

#: The commands in the order of the help: module, and what the help says of it without importing that.
COMMANDS = {
    "demo": ("carrier.commands.demo", "Send one message of each type and show what each did."),
    "send": ("carrier.commands.send", "Send a message; it is stored safely when this returns."),
    "status": ("carrier.commands.status", "Show queues, workers and what is wrong."),
    "failed": ("carrier.commands.failed", "Look at failed messages and mend them."),
    "trace": ("carrier.commands.trace", "Show the life of a message."),
    "backup": ("actors.backup.command", "Look at backups, and read them as a restore would."),
    "worker": ("carrier.commands.worker", "Work on messages."),
    "scheduler": ("scheduler.commands.scheduler", "Send the recurring messages of carrier.toml."),
    "schedule": ("scheduler.commands.schedule", "Look at schedules; have one fire, pause, resume."),
    "web": ("carrier.commands.web", "Serve the console: look, and mend, in a browser."),
    "supervise": ("carrier.commands.supervise", "Run worker and scheduler; start again what dies."),
    "check": ("carrier.commands.check", "Check the settings."),
    "topology": ("carrier.commands.topology", "Compare and declare queues on RabbitMQ."),
    "schema": ("carrier.commands.schema", "Print the JSON Schemas of messages."),
}


class _Commands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        _check_settings_module()
        command: click.Command = importlib.import_module(COMMANDS[cmd_name][0]).command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in COMMANDS.items()])


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="carrier")
def carrier() -> None:
    """Background messages that are not lost: send them, work on them, look after them."""


def main() -> None:
    """Run a command. What goes wrong is one line and exit status 1; wrong usage, a wrong setting too, is status 2."""
    try:
        carrier.main(standalone_mode=False)
    except click.UsageError as error:
        error.show()
        sys.exit(2)
    except click.ClickException as error:
        _fail(error.format_message(), 1)
    except click.Abort:
        sys.exit(130)
    except BrokenPipeError:
        # Whoever read us has seen enough; what is left must not be written at exit either.
        sys.stderr.close()
        sys.exit(1)
    except Exception as error:
        from pydantic import ValidationError

        from carrier.messaging.errors import CarrierError, describe
        from carrier.store.errors import StoreUnavailable
        from settings import SettingsError

        if isinstance(error, SettingsError):
            _fail(str(error), 2)
        if isinstance(error, ValidationError):
            _fail(describe(error), 1)
        if not isinstance(error, CarrierError | StoreUnavailable | OSError):
            raise
        _fail(str(error), 1)


def _check_settings_module() -> None:
    """Before a command puts the folder that it runs in on Python's path."""
    import settings

    if not getattr(settings, "CARRIER_SETTINGS", False):
        _fail(f"{settings.__file__} is not Carrier's settings module, but is found before it; rename it", 2)


def _fail(text: str, status: int) -> NoReturn:
    for line in text.splitlines():
        click.echo(f"carrier: {plain(line)}", err=True)
    sys.exit(status)


def log_to_stderr(level: str) -> None:
    """For the processes that run on: one line an event."""
    logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    for name in ("apscheduler", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)
