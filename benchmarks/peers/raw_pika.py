"""The limit: pika alone, persistent messages, confirms; 1,000 of them under way at once, 16 or one.

``plain`` is the least that RabbitMQ can have to do: a queue without anything, and a body that is the payload. ``same``
is what Carrier asks of it for its promises: a lazy queue with priorities (RabbitMQ 3) or a replicated one (from 4 on),
the envelope around the payload, ids and times as properties, and "mandatory": a message without a queue is an error.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pika

from benchmarks.peers.slots import TEXT

#: Messages that are under way at most, by how they are sent.
_WINDOW = {"many": 1_000, "threads": 16, "one": 1}

_ID = "01932b5e-7c1a-7f3e-8d2c-1a2b3c4d5e6f"


def _payload(n: int) -> str:
    return f'{{"n":{n},"text":"{TEXT}"}}'


def envelope(n: int) -> str:
    """A message's body as Carrier writes it."""
    return (
        f'{{"id":"{_ID}","type":"noop","payload":{_payload(n)},"max_attempts":4,"delay":0,"priority":0,'
        '"created_at":"2026-11-27T10:00:00.000Z","meta":{"attempt":1}}'
    )


def properties(*, is_same: bool = True) -> pika.BasicProperties:
    """A message's properties, as Carrier has them or the least."""
    more: dict[str, Any] = {
        "content_type": "application/json", "priority": 0, "message_id": _ID, "correlation_id": "0123456789abcdef",
        "type": "noop", "timestamp": 1_800_000_000, "app_id": "carrier",
    }  # fmt: skip
    return pika.BasicProperties(delivery_mode=2, **more if is_same else {})


def queue_arguments(connection: Any) -> dict[str, Any]:
    """Those of Carrier's queues."""
    is_old = str(connection.server_properties["version"]).startswith("3.")
    return {"x-max-priority": 10, "x-queue-mode": "lazy"} if is_old else {"x-queue-type": "quorum"}


class _Sender:
    def __init__(self, number: int, window: int, *, is_same: bool) -> None:
        self._number, self._window, self._sent, self.seconds = number, window, 0, 0.0
        self._open: dict[int, None] = {}  # tags in their order
        self._is_same = is_same
        self._body = (envelope if is_same else _payload)(123_456).encode()
        self._properties = properties(is_same=is_same)
        self._connection = pika.SelectConnection(
            pika.URLParameters(os.environ["RABBITMQ_URL"]), on_open_callback=self._on_open
        )
        self._connection.ioloop.start()

    def _on_open(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        arguments = queue_arguments(channel.connection) if self._is_same else {}
        channel.queue_declare("noop", durable=True, arguments=arguments, callback=self._on_queue)

    def _on_queue(self, _: Any) -> None:
        self._channel.confirm_delivery(self._on_confirm, callback=self._on_ready)

    def _on_ready(self, _: Any) -> None:
        self._began = time.perf_counter()
        self._fill()

    def _fill(self) -> None:
        while self._sent < self._number and len(self._open) < self._window:
            self._channel.basic_publish("", "noop", self._body, self._properties, mandatory=self._is_same)
            self._sent += 1
            self._open[self._sent] = None

    def _on_confirm(self, frame: Any) -> None:
        tag = frame.method.delivery_tag
        if frame.method.multiple:
            while self._open and (first := next(iter(self._open))) <= tag:
                del self._open[first]
        else:
            del self._open[tag]
        if self._sent == self._number and not self._open:
            self.seconds = time.perf_counter() - self._began
            self._connection.ioloop.stop()
        else:
            self._fill()


if __name__ == "__main__":
    kind, how, number = sys.argv[1:]
    print(_Sender(int(number), _WINDOW[how], is_same=kind == "same").seconds)
