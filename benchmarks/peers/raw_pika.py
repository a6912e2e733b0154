"""The limit: pika alone, persistent messages, confirms, 1,000 of them under way at once."""

from __future__ import annotations

import os
import sys
import time
from typing import Any

import pika

from benchmarks.peers.slots import TEXT

_WINDOW = 1_000


class _Sender:
    def __init__(self, number: int) -> None:
        self._number, self._sent, self.seconds = number, 0, 0.0
        self._open: dict[int, None] = {}  # tags in their order
        self._body = f'{{"n":123456,"text":"{TEXT}"}}'.encode()
        self._properties = pika.BasicProperties(delivery_mode=2)
        self._connection = pika.SelectConnection(
            pika.URLParameters(os.environ["RABBITMQ_URL"]), on_open_callback=self._on_open
        )
        self._connection.ioloop.start()

    def _on_open(self, connection: pika.SelectConnection) -> None:
        connection.channel(on_open_callback=self._on_channel)

    def _on_channel(self, channel: Any) -> None:
        self._channel = channel
        channel.queue_declare("noop", durable=True, callback=self._on_queue)

    def _on_queue(self, _: Any) -> None:
        self._channel.confirm_delivery(self._on_confirm, callback=self._on_ready)

    def _on_ready(self, _: Any) -> None:
        self._began = time.perf_counter()
        self._fill()

    def _fill(self) -> None:
        while self._sent < self._number and len(self._open) < _WINDOW:
            self._channel.basic_publish("", "noop", self._body, self._properties)
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
    print(_Sender(int(sys.argv[2])).seconds)
