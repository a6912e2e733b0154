"""Which middleware a broker has, and what becomes of Dramatiq's own Retries among it."""

from __future__ import annotations

from typing import Any, TypeGuard

from dramatiq.broker import Broker, MessageProxy
from dramatiq.middleware import (
    AgeLimit,
    Callbacks,
    CurrentMessage,
    GroupCallbacks,
    Middleware,
    Pipelines,
    Retries,
    ShutdownNotifications,
)

from carrier.messaging.attempts import Attempts
from carrier.messaging.time_limit import TimeLimit

#: What sends the messages that follow one that was handled. When one of those cannot be sent, its cause has failed.
FOLLOWING = (Callbacks, Pipelines, GroupCallbacks)


def default_middleware() -> list[Middleware]:
    """Dramatiq's own, with Attempts in the place of Retries; handlers may ask which message they handle."""
    limits = [AgeLimit(), TimeLimit(), ShutdownNotifications()]
    return [*limits, Callbacks(), _Pipelines(), Attempts(), CurrentMessage()]


class _Pipelines(Pipelines):
    """Dramatiq's, which imports and looks up for each message before it asks whether anything follows."""

    def after_process_message(self, broker: Broker, message: MessageProxy, **outcome: Any) -> None:
        if "pipe_target" in message.options:
            super().after_process_message(broker, message, **outcome)  # type: ignore[no-untyped-call]  # Dramatiq has no types there


def attempts(middleware: list[Middleware]) -> Attempts | None:
    """The Attempts among it."""
    # For each message: a generator would take thrice as long, and it is one of the last.
    for each in reversed(middleware):
        if isinstance(each, Attempts):
            return each
    return None


def is_plain_retries(middleware: Middleware) -> TypeGuard[Retries]:
    """Whether it is Dramatiq's Retries, or decides as that does: it would send every failing message a second time."""
    return (
        isinstance(middleware, Retries)
        and not isinstance(middleware, Attempts)
        and type(middleware).after_process_message is Retries.after_process_message
    )
