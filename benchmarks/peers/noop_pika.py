"""The limit of a message that is alone: pika sends the messages that Carrier sends, one by one, each confirmed, and
takes and acknowledges them, with nothing between the two."""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import pika

from benchmarks.peers.raw_pika import envelope, properties, queue_arguments
from benchmarks.peers.sending import main
from benchmarks.peers.slots import begun


def _handle(channel: Any, method: Any, _: Any, body: bytes) -> None:
    begun(json.loads(body)["payload"]["n"])
    channel.basic_ack(method.delivery_tag)


_connection = pika.BlockingConnection(pika.URLParameters(os.environ["RABBITMQ_URL"]))
_channel = _connection.channel()
_channel.queue_declare("noop", durable=True, arguments=queue_arguments(_connection._impl))

if __name__ == "__main__":
    if sys.argv[1] == "work":
        _channel.basic_qos(prefetch_count=16)
        _channel.basic_consume("noop", _handle)
        _channel.start_consuming()
    else:
        _channel.confirm_delivery()
        main(lambda n: _channel.basic_publish("", "noop", envelope(n).encode(), properties(), mandatory=True))
        _connection.close()
