"""Has RabbitMQ write down which quorum queues it has, before anything is confirmed in one that is new.

A node keeps the name of a new quorum queue in memory for up to 3 s (Ra's directory is a dets table, whose writes are
delayed: https://www.erlang.org/doc/apps/stdlib/dets.html), or until the next one is declared. Killed in between, it
comes back with that queue empty (version 4) or without a leader (3.10), and what was confirmed there is lost. So
another one is declared after it, which nobody uses.
"""

from __future__ import annotations

import secrets

from carrier.messaging.rabbitmq.connection import Connection

#: Milliseconds until RabbitMQ itself deletes one whose maker died before it could.
_EXPIRES = 60_000


def register(connection: Connection) -> None:
    """Return when the node would know all quorum queues that have been declared so far after it was killed."""
    channel = connection.channel()
    name = f"carrier.registered.{secrets.token_hex(8)}"
    channel.queue_declare(name, durable=True, arguments={"x-queue-type": "quorum", "x-expires": _EXPIRES})
    channel.queue_delete(name)
    channel.close()
