"""Carrier, on RabbitMQ or embedded, as the environment says."""

from __future__ import annotations

import os
import sys

import dramatiq

import carrier
from benchmarks.peers.sending import main
from benchmarks.peers.slots import TEXT
from carrier.messaging.errors import PermanentError
from carrier.messaging.failure import refusal
from carrier.messaging.outgoing import refused

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


def _failed(number: int) -> None:
    """Messages in failed_queue, as if a worker had put them there."""
    failure = refusal(PermanentError("no"), reason="failed", queue="noop")
    broker.store([refused(f"{n} {TEXT}".encode(), failure) for n in range(number)])


if __name__ == "__main__":
    if sys.argv[1] == "failed":
        _failed(int(sys.argv[2]))
        print(0)
    else:
        main(_one, _many)
    broker.close()
