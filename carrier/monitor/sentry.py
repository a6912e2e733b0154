"""One Sentry event for each message that finally fails, sent once it lies safely in failed_queue.

Sentry's own Dramatiq integration reports every attempt, its logging integration every line that Dramatiq writes with a
payload in it, and local variables are payloads too: all of them stay off. What an event says is type, queue, id, the
error and its place in the code.
"""

from __future__ import annotations

from typing import Any

import dramatiq
import sentry_sdk
from dramatiq.middleware import Middleware
from pydantic import ValidationError
from sentry_sdk.types import Event
from sentry_sdk.utils import BadDsn, event_from_exception

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import Failure
from carrier.monitor import checkin
from settings import SettingsError

#: Seconds that an ending process waits for what is on its way.
_FLUSH = 2.0


def start(dsn: str) -> None:
    """Start Sentry in this process; where the application has started it already, its own is used.

    Raises:
        SettingsError: the DSN makes no sense.
    """
    if sentry_sdk.is_initialized():
        return
    try:
        sentry_sdk.init(
            dsn=dsn,
            default_integrations=False,
            auto_enabling_integrations=False,
            include_local_variables=False,
            max_breadcrumbs=0,
        )
    except BadDsn as error:
        raise SettingsError(f"environment: SENTRY_DSN: {error}; copy it from the project's settings") from None


def watch(broker: Broker) -> None:
    """Report what finally fails on ``broker``, and how the messages of schedules end."""
    broker.failure_listeners.append(report)
    checkin.watch(broker)
    broker.add_middleware(_Flush())


def report(envelope: Envelope | None, failure: Failure, error: BaseException | None) -> None:
    """Send the event of one failure. Sentry's own thread does it: nobody waits."""
    sentry_sdk.capture_event(_event(envelope, failure, error))


def _event(envelope: Envelope | None, failure: Failure, error: BaseException | None) -> Event:
    event: Event = {
        "level": "error",
        "logger": "carrier",
        "fingerprint": [failure.fingerprint],
        "tags": {
            "message.type": envelope.type if envelope else "unreadable",
            "message.queue": failure.queue,
            "message.reason": failure.reason,
        },
        "contexts": {"message": _context(envelope, failure)},
    }
    if error is None:
        event["exception"] = {"values": [{"type": failure.error, "value": failure.message}]}
        return event
    options: dict[str, Any] = {"include_local_variables": False, "include_source_context": True}
    described, _ = event_from_exception(error, client_options={**sentry_sdk.get_client().options, **options})
    event["exception"] = described["exception"]
    values = event["exception"]["values"]
    values[-1]["value"] = failure.message
    for value in values[:-1]:
        # What pydantic says of a value repeats it.
        if value.get("type") == ValidationError.__name__:
            value["value"] = "a value did not fit its model"
    return event


def _context(envelope: Envelope | None, failure: Failure) -> dict[str, Any]:
    context: dict[str, Any] = {"reason": failure.reason, "first_at": failure.first_at, "last_at": failure.last_at}
    if envelope is not None:
        context |= {"id": envelope.id, "attempts": envelope.attempt, "max_attempts": envelope.max_attempts}
    if failure.attempts:
        context["worker"] = failure.attempts[-1].get("worker")
    return context


def flush() -> None:
    """Send what is on its way."""
    sentry_sdk.flush(_FLUSH)


class _Flush(Middleware):
    """A worker process ends without Python's own exit hooks: what is on its way to Sentry is sent before."""

    def after_worker_shutdown(self, broker: dramatiq.Broker, worker: dramatiq.Worker) -> None:
        flush()
