"""What happens to a dump on its way into a file: each stage takes chunks and gives chunks, so that one is in memory."""

from __future__ import annotations

import contextlib
import queue
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from actors.backup.trouble import Damaged
from carrier.messaging.errors import PermanentError
from carrier.zstd import zstd

#: Bytes of one read of a stored backup.
_CHUNK = 2**20
#: Two workers keep up with any dump, and jobs of this many bytes keep what they hold small.
_WORKERS, _JOB = 2, 2**20


def compressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """zstd, with a checksum."""
    parameter = zstd.CompressionParameter
    compressor = zstd.ZstdCompressor(
        options={
            parameter.compression_level: 3,
            parameter.checksum_flag: 1,
            parameter.nb_workers: _WORKERS,
            parameter.job_size: _JOB,
        }
    )
    for chunk in chunks:
        if packed := compressor.compress(chunk):
            yield packed
    yield compressor.flush()


def decompressed(chunks: Iterable[bytes]) -> Iterator[bytes]:
    """The way back.

    Raises:
        Damaged: it is not zstd, or not whole.
    """
    decompressor = zstd.ZstdDecompressor()
    try:
        for chunk in chunks:
            if decompressor.eof:
                raise Damaged("something is behind its end")
            yield decompressor.decompress(chunk)
        if not decompressor.eof:
            raise Damaged("its end is missing (zstd)")
        if decompressor.unused_data:
            raise Damaged("something is behind its end")
    except zstd.ZstdError as error:
        raise Damaged(f"zstd cannot read it: {error}") from None


def encrypt(chunks: Iterable[bytes], write: Callable[[bytes], int], recipients: list[str]) -> None:
    """Write ``chunks`` in the age format, for these recipients.

    Raises:
        PermanentError: a recipient is none.
    """
    import pyrage

    try:
        keys = [pyrage.x25519.Recipient.from_str(each) for each in recipients]
    except pyrage.RecipientError as error:
        raise PermanentError(f"recipients: each must be as age1…: {error}") from None
    _through(pyrage.encrypt_io, pyrage.EncryptError, chunks, write, keys)


def decrypted(chunks: Iterable[bytes], identities: Path) -> Iterator[bytes]:
    """What ``chunks`` in the age format hold.

    Parameters:
        identities: a file as age-keygen writes it.

    Raises:
        PermanentError: the file holds no identity, or none that it is for.
        Damaged: it is not age, or not whole.
    """
    import pyrage

    try:
        lines = [line.strip() for line in identities.read_text().splitlines()]
        keys = [pyrage.x25519.Identity.from_str(line) for line in lines if line and not line.startswith("#")]
    except (OSError, ValueError, pyrage.IdentityError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no identity of age"
        raise PermanentError(f"{identities}: {reason}") from None  # its text may hold the key
    try:
        yield from _pulled(lambda write: _through(pyrage.decrypt_io, pyrage.DecryptError, chunks, write, keys))
    except pyrage.DecryptError as error:
        if "No matching keys" in str(error):
            raise PermanentError(f"{identities}: none of these identities is of its recipients") from None
        raise Damaged(f"age cannot decrypt it: {error}") from None


def _pulled(push: Callable[[Callable[[bytes], int]], None]) -> Iterator[bytes]:
    """What ``push`` writes, in a thread of its own, as chunks."""
    waiting: queue.Queue[bytes | BaseException] = queue.Queue(4)
    unwanted = threading.Event()

    def write(data: bytes) -> int:
        if unwanted.is_set():
            raise BrokenPipeError
        waiting.put(bytes(data))
        return len(data)

    def run() -> None:
        try:
            push(write)
            waiting.put(b"")
        except BaseException as error:  # noqa: BLE001  (it is raised where the chunks are wanted)
            waiting.put(error)

    thread = threading.Thread(target=run, name="carrier-stage", daemon=True)
    thread.start()
    try:
        while found := waiting.get():
            if isinstance(found, BaseException):
                raise found
            yield found
    finally:
        unwanted.set()
        while thread.is_alive():
            with contextlib.suppress(queue.Empty):
                waiting.get(timeout=0.05)


def stored(path: Path, progress: Callable[[int], object] = lambda _: None) -> Iterator[bytes]:
    """The bytes of a file; ``progress`` is told of each number of them."""
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            yield chunk
            progress(len(chunk))


class _Ends:
    """Both ends of a stage of pyrage, which makes every exception of theirs its own: ours is kept."""

    def __init__(self, chunks: Iterable[bytes], write: Callable[[bytes], int]) -> None:
        self._chunks, self._write = iter(chunks), write
        self._rest = memoryview(b"")
        self.error: BaseException | None = None

    def read(self, size: int = -1) -> bytes:
        try:
            while not self._rest:
                chunk = next(self._chunks, None)
                if chunk is None:
                    return b""
                self._rest = memoryview(chunk)
            size = len(self._rest) if size < 0 else size
            data, self._rest = self._rest[:size], self._rest[size:]
            return bytes(data)
        except BaseException as error:
            self.error = error
            raise

    def write(self, data: bytes) -> int:
        try:
            return self._write(data)  # all of it: a smaller number would end the process
        except BaseException as error:
            self.error = error
            raise

    def flush(self) -> None:
        """There is nothing to flush."""


def _through(
    stage: Callable[..., object],
    failure: type[Exception],
    chunks: Iterable[bytes],
    write: Callable[[bytes], int],
    keys: list[object],
) -> None:
    ends = _Ends(chunks, write)
    try:
        stage(ends, ends, keys)
    except (failure, OSError) as error:  # what it finds itself comes as either
        raise ends.error or failure(str(error)) from None
