"""The errors that senders and handlers meet: one name each, whatever broker is behind."""

from __future__ import annotations

from collections.abc import Iterable

from dramatiq.errors import ConnectionClosed, RateLimitExceeded, Retry
from pydantic import ValidationError


class CarrierError(Exception):
    """The base of every error that Carrier raises itself; its text is one line for people."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)


class PermanentError(CarrierError):
    """Raised by a handler: trying again cannot help. The message goes to failed_queue at once."""


class TemporaryError(CarrierError, Retry):
    """Raised by a handler: another attempt may succeed. It is not logged as an error.

    Parameters:
        message: why, in one line.
        least: ms that the next attempt waits at least; more where the backoff says so.
    """

    def __init__(self, message: str = "", *, least: int = 0) -> None:
        super().__init__(message)
        self.message, self.delay = message, None  # what Dramatiq reads
        self.least = least


class Deferred(CarrierError, RateLimitExceeded):
    """Raised by a handler: not now, and that is no fault of the message (a server is away, a lock is held).

    The message is handed out again later; no attempt is charged, no thread waits, and it is not logged as an error.

    Parameters:
        message: why, in one line.
        delay: ms until then; without it, from about 15 s to about 15 minutes, longer each time.
        most: ms for which it may be put off again and again. After that it has failed.
    """

    def __init__(self, message: str = "", *, delay: int | None = None, most: int = 4 * 86_400_000) -> None:
        super().__init__(message)
        self.message = message  # DramatiqError prints it
        self.delay, self.most = delay, most


class WorkerDied(CarrierError):
    """The process that handled a message ended in the middle of it."""


class OutcomeLost(CarrierError):
    """A handler failed, and the connection over which its message came was lost before that could be said."""


class GivenUp(CarrierError):
    """Stock Dramatiq had given a message up before Carrier had it."""


class EnvelopeError(CarrierError):
    """A body, or what was given to send, is not a message. The text says what is wrong, without payload values."""


class UnknownMessageType(CarrierError):
    """No actor is registered for the type. The text names the known ones."""

    def __init__(self, type_: str, known: Iterable[str]) -> None:
        super().__init__(f"unknown message type {type_[:100]!r}; known types: {', '.join(sorted(known)) or 'none'}")


class PublishError(CarrierError, ConnectionClosed):
    """The broker did not take a message within PUBLISH_TIMEOUT seconds.

    It may have stored it all the same: sending again can make two of it. It is Dramatiq's ``ConnectionClosed`` too,
    so that code written for Dramatiq catches it.
    """

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message  # DramatiqError prints it


class BrokerUnavailable(CarrierError, ConnectionClosed):
    """The broker cannot be reached or used; the text names it without its password."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message


class TopologyMismatch(CarrierError):
    """A queue exists with other arguments than Carrier's. The text names the queue and the difference."""


def describe(error: ValidationError, where: str = "") -> str:
    """What is wrong, a clause a problem, without the values: they may be secret.

    Parameters:
        where: what the model was made from, as in "payload".
    """
    clauses = []
    for problem in error.errors(include_input=False, include_url=False, include_context=False)[:10]:
        place = ".".join([*([where] if where else []), *map(str, problem["loc"])])
        clauses.append(f"{place}: {problem['msg'].removeprefix('Value error, ')}".removeprefix(": "))
    return "; ".join(clauses)
