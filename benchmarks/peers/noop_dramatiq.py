"""Stock Dramatiq, told to confirm what it publishes."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers.sending import main
from benchmarks.peers.slots import TEXT, begun

# A backlog is not what is measured, and takes long to send one by one.
broker = RabbitmqBroker(url=os.environ["RABBITMQ_URL"], confirm_delivery="fill" not in sys.argv)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="noop")
def noop(n: int, text: str) -> None:
    """Nothing."""
    begun(n)


if __name__ == "__main__":
    main(lambda n: noop.send(n, TEXT))
    broker.close()
