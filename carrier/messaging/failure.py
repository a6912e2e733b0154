"""What is written down of a failure: each attempt, and the record with which a message lies in failed_queue."""

from __future__ import annotations

import hashlib
import os
import re
import socket
import sysconfig
import traceback
from dataclasses import asdict, dataclass
from types import FrameType
from typing import Any

from pydantic import ValidationError

from carrier.messaging.envelope import Envelope, timestamp
from carrier.messaging.errors import WorkerDied, describe

FAILED_QUEUE = "failed_queue"
#: The error of an attempt that ended with its worker.
WORKER_DIED = f"{WorkerDied.__module__}.{WorkerDied.__qualname__}"
#: The AMQP header (embedded: the column) that holds the failure of a message that never reached a handler.
FAILURE_HEADER = "carrier-failure"

#: Characters of an error's text and of a traceback, and attempts, that a record keeps: a failed message stays small.
TEXT_LIMIT, TRACEBACK_LIMIT, ATTEMPTS_LIMIT = 2_000, 16_000, 100

#: What pydantic says of the value that did not fit.
_REPEATED = re.compile(r", input_value=.*?, input_type=[\w.]+(?=\])")
#: What differs between two failures of one cause: e-mail addresses, ids, numbers, and what is quoted.
_PARTICULAR = re.compile(
    r"[^\s@<>\"']+@[^\s@<>\"']+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|0x[0-9a-fA-F]+|\d+|'[^']*'|\"[^\"]*\""
)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a message lies in failed_queue.

    Attributes:
        reason: a few words: "attempts exhausted", "permanent error", "unreadable", "unknown type", "payload refused" …
        queue: where it came from, and where a retry by hand sends it.
        place: where in the application's code, as "module.function"; empty where no code was reached.
        fingerprint: equal for failures of one cause.
    """

    reason: str
    error: str
    message: str
    traceback: str | None
    first_at: str
    last_at: str
    attempts: list[dict[str, Any]]
    queue: str
    place: str
    fingerprint: str

    def fields(self) -> dict[str, Any]:
        """The failure as JSON has it."""
        return asdict(self)


def worker_name() -> str:
    """This process, as people find it: host:pid."""
    return f"{socket.gethostname()}:{os.getpid()}"


def attempt_record(
    attempt: int, error: BaseException, *, at: float | None = None, worker: str | None = None
) -> dict[str, Any]:
    """One attempt that failed: when (Unix time in s; now without it), which worker (this one), which error."""
    return {
        "attempt": attempt,
        "at": timestamp(at),
        "worker": worker or worker_name(),
        "error": _name(error),
        "message": _message(error),
    }


def failure_of(
    envelope: Envelope, error: BaseException, *, reason: str, queue: str, record: dict[str, Any] | None = None
) -> Failure:
    """The failure of a message whose last attempt ended with ``error``; ``record`` is that attempt's."""
    record = record or attempt_record(envelope.attempt, error)
    attempts = [*envelope.meta.get("attempts", []), record][-ATTEMPTS_LIMIT:]
    first = attempts[0].get("at") if isinstance(attempts[0], dict) else None
    return Failure(
        reason=reason,
        error=_name(error),
        message=_message(error),
        traceback=traceback_of(error)[-TRACEBACK_LIMIT:],
        first_at=first if isinstance(first, str) else attempts[-1]["at"],
        last_at=attempts[-1]["at"],
        attempts=attempts,
        queue=queue,
        place=_place(error),
        fingerprint=_fingerprint(envelope.type, error),
    )


def refusal(error: BaseException, *, reason: str, queue: str) -> Failure:
    """The failure of a body that never became a message for a handler."""
    now = timestamp()
    return Failure(
        reason=reason,
        error=_name(error),
        message=_message(error),
        traceback=None,
        first_at=now,
        last_at=now,
        attempts=[],
        queue=queue,
        place="",
        fingerprint=_fingerprint(reason, error),
    )


def traceback_of(error: BaseException) -> str:
    """Where it was raised, without the values of local variables, which are the payload, and without those that
    pydantic repeats."""
    return _REPEATED.sub("", "".join(traceback.format_exception(error, limit=-30)))


def _name(error: BaseException) -> str:
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def _message(error: BaseException) -> str:
    try:
        # What pydantic says of a value repeats it.
        text = describe(error) if isinstance(error, ValidationError) else str(error)
    except Exception as broken:  # noqa: BLE001  (anybody's __str__ runs here)
        text = f"(its text cannot be had: {type(broken).__name__})"
    return text.encode("utf-8", "replace").decode()[:TEXT_LIMIT]


def _fingerprint(type_: str, error: BaseException) -> str:
    """Type, error, place in the code, and the text without numbers and ids; line numbers change with every release."""
    text = "\n".join((type_, _name(error), _place(error), _PARTICULAR.sub("#", _message(error))))
    return hashlib.blake2b(text.encode("utf-8", "replace"), digest_size=8).hexdigest()


def _place(error: BaseException) -> str:
    """The innermost function of the application: where a library raises says less than who called it."""
    frames = [each for each, _ in traceback.walk_tb(error.__traceback__)]
    frame = next((each for each in reversed(frames) if _is_of_the_application(each)), frames[-1] if frames else None)
    return "" if frame is None else f"{frame.f_globals.get('__name__')}.{frame.f_code.co_qualname}"


#: Where Python keeps libraries, and its own.
_LIBRARIES = tuple({sysconfig.get_path(name) + os.sep for name in ("stdlib", "platstdlib", "purelib", "platlib")})


def _is_of_the_application(frame: FrameType) -> bool:
    room = str(frame.f_globals.get("__name__")).partition(".")[0]
    if room in ("carrier", "actors"):
        return room == "actors"  # wherever Carrier itself is installed
    file = frame.f_code.co_filename
    return not file.startswith(_LIBRARIES) and "-packages" not in file and not file.startswith("<")
