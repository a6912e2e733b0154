"""An archive: failed messages in a file, byte for byte, from which they can be put back.

The file is NDJSON, compressed by zstd: a head, a line for each message, and a line that says how many there are. It
has its name only once all of it is on disk, and is for its owner alone: nothing in it is masked.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import glob
import json
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import timestamp
from carrier.messaging.errors import CarrierError
from carrier.messaging.event import RESTORED
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.walk import WINDOW, Stored
from carrier.monitor.failed.looking import Progress, look
from carrier.monitor.failed.message import FailedMessage
from carrier.monitor.failed.selection import Counted, Filter
from carrier.zstd import zstd

_HEAD = "failed messages of Carrier"
_VERSION = 1
_OPTIONS: dict[int, int] = {zstd.CompressionParameter.checksum_flag: 1}
#: The end of the names of files that are being written, and seconds for which they are left alone.
_PARTIAL, _YOUNG = ".partial", 10


class ArchiveError(CarrierError):
    """A file cannot be written, or is no archive; the text names it."""


def write(broker: Broker, wanted: Filter, path: Path, *, progress: Progress | None = None) -> Counted:
    """Write those that are wanted into ``path``; they stay in failed_queue.

    Returns:
        Those that are in the file.

    Raises:
        ArchiveError: there is such a file, or it cannot be written, or there would be nothing in it; none is left.
        BrokerUnavailable: failed_queue cannot be gone through.
    """
    counted = Counted()

    def add(failed: FailedMessage) -> None:
        counted.add(failed)
        file.write(_line(_fields(failed)))

    with new_file(path) as raw:
        with zstd.open(raw, "wb", options=_OPTIONS) as file:
            file.write(_line({"archive": _HEAD, "version": _VERSION, "at": timestamp()}))
            look(broker, wanted, add, progress=progress)
            file.write(_line({"messages": counted.number}))
        if not counted.number:
            raise ArchiveError("there is nothing to archive")
    return counted


def export(broker: Broker, wanted: Filter, file: BinaryIO, *, progress: Progress | None = None) -> int:
    """Write what is shown of those that are wanted, secrets masked, a JSON object a line; returns how many.

    Raises:
        BrokerUnavailable: failed_queue cannot be gone through.
    """

    def add(failed: FailedMessage) -> None:
        # Without any byte that a terminal could obey: it may be written to one.
        file.write(json.dumps(failed.details()).encode() + b"\n")

    return look(broker, wanted, add, progress=progress)


def contents(path: Path) -> Counted:
    """What is in an archive.

    Raises:
        ArchiveError: it is none, or not whole.
    """
    counted = Counted()
    for stored in _messages(path):
        counted.add(stored)
    return counted


def restore(broker: Broker, path: Path, *, by: str = "", progress: Progress | None = None) -> tuple[int, int]:
    """Put the messages of an archive back into failed_queue, those that are not there already.

    Returns:
        How many were put back, and how many are in the archive.

    Raises:
        ArchiveError: it is none, or not whole; nothing was put back.
        PublishError: the broker does not take them; doing it again goes on where this ended.
    """
    total = sum(1 for _ in _messages(path))
    there, restored = Counted(), 0
    with _locked(path):
        with broker.walk(FAILED_QUEUE) as walking:
            for stored in walking:
                there.add(stored)
        waiting: list[FailedMessage] = []
        for number, stored in enumerate(_messages(path), 1):
            if not there.takes(stored):
                waiting.append(FailedMessage(stored, broker))
            if len(waiting) == WINDOW or (waiting and number == total):
                broker.store([_outgoing(each) for each in waiting])
                for each in waiting:
                    broker.tell(each.event(RESTORED, by=by, file=str(path)))
                restored += len(waiting)
                waiting.clear()
            if progress is not None:
                progress(number, total)
    return restored, total


def _outgoing(failed: FailedMessage) -> Outgoing:
    """It, as it lay in failed_queue."""
    id_ = failed.id if failed.envelope else ""
    return Outgoing(FAILED_QUEUE, id_, failed.type, failed.stored.body, failure=failed.stored.failure)


def _fields(failed: FailedMessage) -> dict[str, Any]:
    """Its bytes, and before them what a reader of the file looks for."""
    body = failed.stored.body
    try:
        content = {"body": body.decode()}
    except UnicodeDecodeError:
        content = {"body_base64": base64.b64encode(body).decode()}
    return {**failed.summary(), **content, "beside": failed.stored.failure}


def _messages(path: Path) -> Iterator[Stored]:
    number = -1
    for number, fields in enumerate(_lines(path), -1):
        if number == -1:
            if fields.get("archive") != _HEAD or fields.get("version") != _VERSION:
                raise ArchiveError(f"{path}: it is no archive of failed messages that this Carrier knows")
        elif "messages" in fields:
            if fields["messages"] == number:
                return
            break
        else:
            yield _stored(path, fields)
    raise ArchiveError(f"{path}: it is not whole: it ends after {max(0, number)} messages")


def _stored(path: Path, fields: dict[str, Any]) -> Stored:
    body, encoded, beside = (fields.get(name) for name in ("body", "body_base64", "beside"))
    try:
        if isinstance(body, str):
            return Stored(body.encode(), beside, None)
        return Stored(base64.b64decode(str(encoded), validate=True), beside, None)
    except (TypeError, ValueError) as error:
        raise ArchiveError(f"{path}: a message in it cannot be read: {error}") from None


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    try:
        with path.open("rb") as raw, zstd.ZstdFile(raw) as text:
            while line := text.readline():
                fields = json.loads(line)
                if not isinstance(fields, dict):
                    break
                yield fields
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be read: {error.strerror}") from None
    except (zstd.ZstdError, EOFError, ValueError, RecursionError):
        raise ArchiveError(f"{path}: it is no archive, or damaged") from None


@contextmanager
def new_file(path: Path) -> Iterator[BinaryIO]:
    """A file that has its name once it is whole and on disk, for its owner alone.

    Raises:
        ArchiveError: there is such a file, or it cannot be written.
    """
    if path.exists():
        raise ArchiveError(f"{path}: it exists; name another file")
    try:
        _sweep(path)
        # A name of its own, so that nothing that is there can be written over.
        partial = path.with_name(f"{path.name}.{secrets.token_hex(4)}{_PARTIAL}")
        descriptor = os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as raw:
            fcntl.flock(raw, fcntl.LOCK_SH)
            try:
                yield raw
                raw.flush()
                os.fsync(descriptor)
                os.link(partial, path)  # not a rename, which would replace what came there meanwhile
            finally:
                partial.unlink()
        _sync(path.parent)
    except FileExistsError:
        raise ArchiveError(f"{path}: it came to exist meanwhile; name another file") from None
    except OSError as error:
        raise ArchiveError(f"{path}: cannot be written: {error.strerror}") from None


def _sweep(path: Path) -> None:
    """Remove what dead writers have left; living ones hold a lock."""
    for left in path.parent.glob(f"{glob.escape(path.name)}.????????{_PARTIAL}"):
        with left.open("rb") as file, contextlib.suppress(BlockingIOError):
            if os.fstat(file.fileno()).st_mtime < time.time() - _YOUNG:  # a new one may not have its lock yet
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink(missing_ok=True)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ArchiveError(f"{path}: somebody else is putting it back") from None
        yield


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _line(fields: dict[str, Any]) -> bytes:
    try:
        return json.dumps(fields, ensure_ascii=False).encode() + b"\n"
    except UnicodeEncodeError:  # half a surrogate pair, which JSON can escape
        return json.dumps(fields).encode() + b"\n"
