"""Carrier, on RabbitMQ or embedded, as the environment says."""

from __future__ import annotations

import os

import dramatiq

import carrier
from benchmarks.peers.sending import main
from benchmarks.peers.slots import TEXT

broker = carrier.connect()
dramatiq.set_broker(broker)
from benchmarks.peers.noop_actor import noop  # noqa: E402  (it declares itself on the broker)

_PRIORITY = int(os.environ.get("BENCH_PRIORITY", "0"))


def _one(n: int) -> None:
    if _PRIORITY:
        noop.send_with_options(args=(n, TEXT), priority=_PRIORITY)
    else:
        noop.send(n, TEXT)


def _many(numbers: range) -> None:
    broker.enqueue_many([noop.message(n, TEXT) for n in numbers])


if __name__ == "__main__":
    main(_one, _many)
    broker.close()
