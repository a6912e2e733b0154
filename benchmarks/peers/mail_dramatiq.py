"""Stock Dramatiq."""

from __future__ import annotations

import os
import sys

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker

from benchmarks.peers.mail import plainly

broker = RabbitmqBroker(url=os.environ["RABBITMQ_URL"], confirm_delivery=True)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name="email_queue")
def send(n: int) -> None:
    """One e-mail."""
    plainly(n)


if __name__ == "__main__":
    for n in range(int(sys.argv[1])):
        send.send(n)
    broker.close()
