"""Reads a publisher confirm: RabbitMQ's Basic.Ack, which comes for every message, or for several at once."""

from __future__ import annotations

from struct import Struct
from typing import Protocol

from pika import spec

from carrier.messaging.rabbitmq.frames import BEFORE

_ACK = Struct(">HHQBB")  # class, method, delivery tag, bits, end of the frame
_CLASS, _METHOD = divmod(spec.Basic.Ack.INDEX, 2**16)
_MULTIPLE = 1


class Taker(Protocol):
    """Is told of the confirm of a message, or of all up to it."""

    def __call__(self, last: int, *, multiple: bool) -> None: ...


def read_ack(buffer: bytes, at: int, end: int, taker: Taker) -> int:
    """Hand on the confirm that is at ``at``. A :data:`frames.Reader`, but for ``taker``."""
    start = at + BEFORE
    if end - start < _ACK.size:
        return 0
    class_, method, last, bits, mark = _ACK.unpack_from(buffer, start)
    if class_ != _CLASS or method != _METHOD or mark != spec.FRAME_END:
        return 0
    taker(last, multiple=bits & _MULTIPLE != 0)
    return start + _ACK.size
