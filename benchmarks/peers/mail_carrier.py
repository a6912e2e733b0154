"""Carrier: its own handler, with everything that it writes down."""

from __future__ import annotations

import sys

import dramatiq

import carrier
from actors.email.handler import deliver
from actors.email.payload import Email
from actors.handling import message_id
from benchmarks.peers.mail import BODY, HTML, SUBJECT, note, recipient
from settings import get_settings

broker = carrier.connect()
dramatiq.set_broker(broker)


@carrier.actor("email", queue="email_queue", payload=Email)
def send(email: Email) -> None:
    """As actors.email, and noted."""
    deliver(email, message_id(), get_settings())
    note()


if __name__ == "__main__":
    fields = {"subject": SUBJECT, "body": BODY, "html": HTML}
    broker.enqueue_many([send.message(to=recipient(n), **fields) for n in range(int(sys.argv[1]))])
    broker.close()
