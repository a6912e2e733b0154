"""Files that an e-mail takes along: out of the message itself, or from below ATTACHMENT_ROOT and from nowhere else."""

from __future__ import annotations

import base64
import errno
import os
import stat
from pathlib import Path

from actors.email.composition import Part
from actors.email.payload import Attachment
from carrier.messaging.errors import PermanentError

#: Bytes of all files together. Few servers take more than 25 MB, in base64.
MAX_SIZE = 18 * 2**20


def parts(attachments: list[Attachment], root: Path | None) -> list[Part]:
    """The files, read.

    Raises:
        PermanentError: one is not there, is no file, or they are too large. An e-mail does not go without them.
        OSError: one cannot be read now.
    """
    left, found = MAX_SIZE, []
    for number, attachment in enumerate(attachments):
        where = f"attachments.{number}"
        if attachment.path is None:
            data = base64.b64decode(attachment.content or "")
        else:
            data = _read(root, attachment.path, left, where)
        left -= len(data)
        if left < 0:
            raise PermanentError(f"{where}: the attachments are larger than {MAX_SIZE} bytes together")
        found.append(Part(attachment.name, data, attachment.content_type))
    return found


def _read(root: Path | None, path: str, most: int, where: str) -> bytes:
    if root is None:
        raise PermanentError(f"{where}: path: ATTACHMENT_ROOT is not set, so no file may be attached by its path")
    try:
        folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY)
    except (FileNotFoundError, NotADirectoryError):
        raise PermanentError(f"{where}: path: ATTACHMENT_ROOT is no folder") from None
    try:
        descriptor = _open(folder, path, where)
    finally:
        os.close(folder)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise PermanentError(f"{where}: path: {path!r} is no regular file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read(most + 1)


def _open(folder: int, path: str, where: str) -> int:
    """Open step by step, following no link: what is swapped on the way does not lead outside (openat(2))."""
    *folders, name = path.split("/")
    held: list[int] = []
    try:
        for each in folders:
            folder = os.open(each, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=folder)
            held.append(folder)
        # Without O_NONBLOCK a FIFO would wait for somebody to write.
        return os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)
    except FileNotFoundError:
        raise PermanentError(f"{where}: path: {path!r} is not there") from None
    except OSError as error:
        if isinstance(error, NotADirectoryError | PermissionError) or error.errno in (errno.ELOOP, errno.ENXIO):
            raise PermanentError(
                f"{where}: path: {path!r} cannot be attached: it is no file, or a link is on its way"
            ) from None
        raise
    finally:
        for descriptor in held:
            os.close(descriptor)
