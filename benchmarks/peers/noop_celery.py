"""Celery, which acknowledges after the work and confirms what it publishes."""

from __future__ import annotations

import os
import sys

from celery import Celery

from benchmarks.peers.sending import main
from benchmarks.peers.slots import TEXT, begun

app = Celery("noop", broker=os.environ["RABBITMQ_URL"])
app.conf.update(
    task_acks_late=True,
    task_default_queue="noop",
    task_ignore_result=True,
    # A backlog is not what is measured, and takes long to send one by one.
    broker_transport_options={"confirm_publish": "fill" not in sys.argv},
    broker_connection_retry_on_startup=True,
)


@app.task(name="noop")
def noop(n: int, text: str) -> None:
    """Nothing."""
    begun(n)


if __name__ == "__main__":
    main(lambda n: noop.delay(n, TEXT))
