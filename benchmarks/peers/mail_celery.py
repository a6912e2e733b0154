"""Celery, which acknowledges after the work."""

from __future__ import annotations

import os
import sys

from celery import Celery

from benchmarks.peers.mail import plainly

app = Celery("mail", broker=os.environ["RABBITMQ_URL"])
app.conf.update(
    task_acks_late=True,
    task_default_queue="email_queue",
    task_ignore_result=True,
    broker_transport_options={"confirm_publish": True},
    broker_connection_retry_on_startup=True,
)


@app.task(name="send")
def send(n: int) -> None:
    """One e-mail."""
    plainly(n)


if __name__ == "__main__":
    for n in range(int(sys.argv[1])):
        send.delay(n)
