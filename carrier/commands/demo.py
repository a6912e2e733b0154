"""``carrier demo``: one real message of each type, sent, worked on, and the effect of each looked at."""

from __future__ import annotations

import importlib
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path

import click
from dramatiq import Broker, MessageProxy, Middleware

from carrier.commands.terminal import plain
from settings import Settings

_DAY = 86_400
#: Somebody to whom nothing can be sent before people say where.
_NOBODY = "user123"


@dataclass(frozen=True)
class _Step:
    type: str
    id: str
    #: What has become of it, for people; None as long as it has not.
    effect: Callable[[], str | None]


class _Errors(Middleware):
    """The last error of each message that this process has tried."""

    def __init__(self) -> None:
        self.last: dict[str, str] = {}

    def after_process_message(
        self, broker: Broker, message: MessageProxy, *, result: object = None, exception: BaseException | None = None
    ) -> None:
        if exception is not None:
            self.last[message.message_id] = str(exception)


@click.command("demo")
@click.option(
    "--timeout", type=click.IntRange(1), default=60, show_default=True, help="Seconds to wait for the effects."
)
@click.option("--fail-one", is_flag=True, help="Leave a fifth message in failed_queue, for somebody to mend.")
def command(timeout: int, fail_one: bool) -> None:
    """Send one message of each type, work on them, and show what they did."""
    from carrier.messaging.service import messages
    from settings import get_settings

    logging.getLogger("dramatiq").setLevel(logging.CRITICAL)  # what goes wrong is shown below, in a line
    settings = get_settings()
    if settings.carrier_actors != "actors":
        raise click.ClickException("the demo shows Carrier's own four actors; unset CARRIER_ACTORS for it")
    where = "RabbitMQ" if settings.broker_urls else f"the embedded broker ({settings.home / 'queue.db'})"
    click.echo(f"Sending four messages over {where}")
    steps, errors = _send(settings), _Errors()
    messages.broker.add_middleware(errors)
    # Other workers may take them as well: it is the effects that count.
    messages.start_consumers(threads=4)
    try:
        missing = _watch(steps, timeout)
        reason = _fail_one(settings, timeout) if fail_one and not missing else None
    finally:
        messages.stop()
        messages.broker.close()
    for step in missing:
        click.echo(f"  {step.type:<13} {errors.last.get(step.id, 'nothing happened')}", err=True)
    if missing:
        raise click.ClickException(f"no effect within {timeout} s: {', '.join(step.type for step in missing)}")
    click.echo("All four are done.")
    if reason is not None:
        click.echo("A fifth has failed on purpose:")
        click.echo(plain(f"  {'notification':<13} {reason}"))
    _show_schedules(settings)


def _fail_one(settings: Settings, timeout: int) -> str | None:
    """Send what nobody can deliver yet, and wait until it has failed; says why."""
    from carrier.messaging.service import messages
    from carrier.monitor.failed import Filter, find

    if _NOBODY in settings.config.recipients:
        return None
    sent = messages.send_notification(_NOBODY, "email", "Mended", "You have mended your first failure.")
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        for failed in find(messages.broker, Filter(ids={sent})).messages:
            return failed.message
        time.sleep(0.05)  # as above
    raise click.ClickException(f"{sent} has neither failed nor is it known why within {timeout} s")


def _show_schedules(settings: Settings) -> None:
    # By its name: the scheduler stands on this room.
    seen = importlib.import_module("scheduler.overview").overview(settings.schedules)
    if seen.schedules:
        click.echo("Sent at their times" + (":" if seen.leader else ", once `carrier scheduler` runs:"))
    for each in seen.schedules:
        following = f", next {each.next.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if each.next else ""
        click.echo(plain(f"  {each.name:<15} {each.type}, {each.timing}{following}"))


def _send(settings: Settings) -> list[_Step]:
    from carrier.messaging.service import messages

    old, young = _files(settings.home / "demo")
    mail = messages.send_email("user@example.com", "Hello from Carrier", "It works.", "<p>It <b>works</b>.</p>")
    backup = messages.send_backup("default", "demo")
    cleanup = messages.send_cleanup("demo", 30)
    notification = messages.send_notification("demo", "inbox", "Hello", "Carrier has something for you.")
    return [
        _Step("email", mail, lambda: _sent(settings, mail)),
        _Step("backup", backup, lambda: _backed_up(settings, backup)),
        _Step("cleanup", cleanup, lambda: _cleaned(old, young)),
        _Step("notification", notification, lambda: _notified(notification)),
    ]


def _watch(steps: list[_Step], timeout: float) -> list[_Step]:
    """Show each effect as it is there; returns the steps without one."""
    missing, until = list(steps), time.monotonic() + timeout
    while missing and time.monotonic() < until:
        for step in list(missing):
            effect = step.effect()
            if effect is not None:
                click.echo(f"  {step.type:<13} {effect}")
                missing.remove(step)
        time.sleep(0.05)  # effects are files and rows: there is nothing to wait on
    return missing


def _files(folder: Path) -> tuple[Path, Path]:
    """A file of 60 days ago, and one of now."""
    folder.mkdir(parents=True, exist_ok=True)
    old, young = folder / "old.log", folder / "young.log"
    for path in (old, young):
        path.write_text("made by carrier demo\n")
    then = time.time() - 60 * _DAY
    os.utime(old, (then, then))
    return old, young


def _sent(settings: Settings, message_id: str) -> str | None:
    if settings.smtp_url is not None:
        return "handed to the mail server of SMTP_URL" if _is_settled(settings, "email_queue") else None
    path = settings.outbox / f"{message_id}.eml"
    return f"written to {path}" if path.is_file() else None


def _is_settled(settings: Settings, queue: str) -> bool:
    from dramatiq.errors import QueueJoinTimeout

    from carrier.messaging.service import messages

    try:
        messages.broker.join(queue, timeout=500)
    except QueueJoinTimeout:
        return False
    return True


def _backed_up(settings: Settings, message_id: str) -> str | None:
    # By its name: actors stand on this room.
    stored = importlib.import_module("actors.backup.verify")
    for backup in stored.backups(settings):
        if backup.manifest.message_id == message_id:
            stored.verify(backup, settings, settings.backup_identity, lambda _: None)
            return f"written to {backup.path}; all of it was read, and it is sound"
    return None


def _cleaned(old: Path, young: Path) -> str | None:
    return f"{old} is gone, {young.name} is kept" if young.exists() and not old.exists() else None


def _notified(message_id: str) -> str | None:
    from carrier.store import inbox

    found = [entry for entry in inbox.entries("demo") if entry.message_id == message_id]
    return f"“{found[0].title}” is in the inbox of user demo" if found else None
