"""Who works, by what workers tell on the exchange ``carrier.events``. One that falls silent is lost."""

from __future__ import annotations

import time
from contextlib import suppress
from typing import Any

from pika.exceptions import AMQPError

from carrier.messaging.figures import WorkerFigures
from carrier.messaging.rabbitmq.connection import Nodes
from carrier.messaging.rabbitmq.topology import EVENTS, REPORT, REPORT_END
from carrier.messaging.reporting import EVERY
from carrier.messaging.roster import Roster, Workers

#: Seconds after which one that tells nothing is lost, and for which people are told of it then.
_SILENT, _TOLD = 5 * EVERY, 3600.0
#: Reports that wait at the server for a listener that is busy.
_LIMITS = {"x-max-length": 10_000}


class RabbitmqRoster(Roster):
    """When something was told is measured here: the clocks of machines differ."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes
        #: By host, process and start: what was told last, and when that was, by the monotonic clock in s.
        self._told: dict[tuple[str, int, float | None], tuple[WorkerFigures, float]] = {}
        self._connection = nodes.connect("roster")
        try:
            channel = self._connection.channel()
            channel.exchange_declare(EVENTS, "topic", durable=True)
            queue = channel.queue_declare("", exclusive=True, arguments=_LIMITS).method.queue
            for key in (REPORT, REPORT_END):
                channel.queue_bind(queue, EVENTS, key)
            channel.basic_consume(queue, self._on_message, auto_ack=True)
        except AMQPError as error:
            self.close()
            raise nodes.unavailable(error) from None

    def _on_message(self, _: Any, method: Any, __: Any, body: bytes) -> None:
        told = WorkerFigures.read(body)
        if told is None:
            return
        key = (told.host, told.process, told.started)
        if method.routing_key == REPORT_END:
            self._told.pop(key, None)
        else:
            self._told[key] = (told, time.monotonic())

    def look(self, seconds: float) -> Workers:
        """See :meth:`Roster.look`."""
        try:
            self._connection.process_data_events(time_limit=0)
            until = time.monotonic() + seconds
            while (left := until - time.monotonic()) > 0:
                self._connection.process_data_events(time_limit=left)
        except AMQPError as error:
            raise self._nodes.unavailable(error) from None
        now, living, lost = time.monotonic(), [], []
        for key, (told, at) in sorted(self._told.items(), key=lambda item: (item[0][:2], item[1][1])):
            if now - at > _TOLD:
                del self._told[key]
            elif now - at > _SILENT:
                lost.append(told)
            else:
                living.append(told)
        return Workers(living, lost)

    def close(self) -> None:
        """See :meth:`Roster.close`."""
        if self._connection.is_open:
            with suppress(AMQPError):  # it was lost, and nobody has noticed
                self._connection.close()
