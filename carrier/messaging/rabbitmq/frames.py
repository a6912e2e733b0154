"""A connection of pika's with shorter ways for the few frames that each message needs: who knows what comes on a
channel reads it off the bytes, and what is written is whole frames, many at a time. Everything else is pika's.

A frame has 7 bytes before its payload and one behind it (AMQP 0-9-1, section 2.3.5).
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from struct import Struct
from typing import Any

import pika
from pika import spec
from pika.adapters.utils.io_services_utils import _AsyncPlaintextTransport
from pika.frame import decode_frame

BEFORE, AROUND = 7, 8
FRAME = Struct(">BHI")  # type, channel, size of the payload
METHOD = Struct(">BHII")  # and which method it is

#: Given what was received, where in it a method frame begins, and where it ends: reads that frame, and what belongs to
#: it. Returns where that ends; None where it is not all here yet, 0 where it is for pika.
Reader = Callable[[bytes, int, int], int | None]


class FrameConnection(pika.SelectConnection):  # type: ignore[misc]  # pika has no types
    """pika's connection with shorter ways.

    Attributes:
        readers: by channel, who reads its method frames first.
        after_read: called when all that was received is read; not while there are no readers.
    """

    _frame_buffer: bytes  # what pika has read and not decoded

    def __init__(self, *args: Any, **options: Any) -> None:
        self.readers: dict[int, Reader] = {}
        self.after_read: Callable[[], None] | None = None
        #: Held while bytes go to the socket, so that frames of two threads do not mix.
        self._output = threading.Lock()
        #: What the socket has not taken of what another thread wrote: it goes before all else.
        self._left = b""
        super().__init__(*args, **options)

    def _on_data_available(self, data_in: bytes) -> None:
        if not self.readers:
            super()._on_data_available(data_in)
            return
        buffer, self._frame_buffer = self._frame_buffer + data_in, b""
        at, end = 0, len(buffer)
        try:
            while end - at > BEFORE:
                kind, channel, size = FRAME.unpack_from(buffer, at)
                whole = at + AROUND + size
                if whole > end:
                    break
                if kind == spec.FRAME_METHOD and channel in self.readers:
                    read = self.readers[channel](buffer, at, end)
                    if read is None:
                        break
                    if read:
                        at = read
                        continue
                _, frame = decode_frame(buffer[at:whole])
                at = whole
                self._process_frame(frame)
        finally:
            self.bytes_received += at  # what the heartbeat looks at
            self._frame_buffer = buffer[at:]
        if self.after_read is not None:
            self.after_read()

    @property
    def largest_body(self) -> int:
        """Bytes of a message that one frame holds."""
        size: int = self._body_max_length
        return size

    def send(self, frames: bytes) -> None:
        """Write whole frames, at once where the socket takes them: pika would wait to be told that it does."""
        self.bytes_sent += len(frames)
        with self._output:
            left = self._untaken(frames)
            if left:
                self._pass_on(left)

    def send_from_elsewhere(self, frames: bytes) -> None:
        """As :meth:`send`, in any thread, while the loop of the connection's thread is not closed."""
        self.bytes_sent += len(frames)
        with self._output:
            self._left += self._untaken(frames)
        if self._left:
            self.ioloop.add_callback_threadsafe(self._write_left)

    @property
    def is_free(self) -> bool:
        """Whether bytes may go to the socket now, behind all that was written before."""
        transport = self._transport
        is_plain = isinstance(transport, _AsyncPlaintextTransport)
        return is_plain and not self._left and not transport.get_write_buffer_size()

    def cut(self) -> None:
        """End the connection where it is, in the middle of a frame if need be; pika sees that it is lost."""
        with suppress(OSError):  # it is lost already
            self._transport._sock.shutdown(socket.SHUT_RDWR)

    def _untaken(self, frames: bytes) -> bytes:
        """What the socket has not taken of them."""
        if self.is_free:
            with suppress(OSError):  # it takes nothing now, or is lost: pika sees which
                return frames[self._transport._sock.send(frames) :]
        return frames

    def _write_left(self) -> None:
        if self._left and self.is_open:
            self._adapter_emit_data(b"")

    def _adapter_emit_data(self, data: bytes) -> None:
        """All that pika writes, in the connection's thread."""
        with self._output:
            self._pass_on(data)

    def _pass_on(self, data: bytes) -> None:
        """Have pika write it, behind what is left."""
        data, self._left = self._left + data, b""
        super()._adapter_emit_data(data)
