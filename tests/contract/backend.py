"""The two brokers as a test sees them: from outside, past Carrier's own code where that is possible."""

from __future__ import annotations

import json
import re
import sqlite3
from abc import ABC, abstractmethod
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import pika

from carrier.messaging.broker import Broker
from carrier.messaging.embedded.broker import EmbeddedBroker
from carrier.messaging.rabbitmq.broker import RabbitmqBroker
from tests.servers.rabbitmq import RabbitmqServer
from tests.waiting import wait_until


class Backend(ABC):
    """Somewhere for a test's messages."""

    name: str
    #: What a process needs in its environment to use it.
    environment: dict[str, str]

    @abstractmethod
    def broker(self, **options: Any) -> Broker:
        """A broker on it."""

    @abstractmethod
    def put(self, queue: str, body: bytes, priority: int = 0) -> None:
        """Put bytes into a queue as somebody else's program would."""

    @abstractmethod
    def bodies(self, queue: str) -> list[bytes]:
        """What is ready in a queue, in its order; it stays there."""

    @abstractmethod
    def failures(self) -> list[dict[str, Any]]:
        """The failures of what lies in failed_queue, wherever they are written."""

    def ready(self, queue: str) -> int:
        """How many are ready in a queue."""
        return len(self.bodies(queue))

    def envelopes(self, queue: str) -> list[dict[str, Any]]:
        """:meth:`bodies` as JSON."""
        return [json.loads(body) for body in self.bodies(queue)]


class Embedded(Backend):
    name = "embedded"

    def __init__(self, home: Path) -> None:
        self._home = home
        self.environment = {"CARRIER_HOME": str(home)}

    def broker(self, **options: Any) -> Broker:
        return EmbeddedBroker(self._home, **options)

    def put(self, queue: str, body: bytes, priority: int = 0) -> None:
        with closing(self._connect()) as connection, connection:
            row = (queue, priority, body)
            connection.execute("INSERT INTO messages (queue, priority, due, body) VALUES (?, ?, 0, ?)", row)

    def bodies(self, queue: str) -> list[bytes]:
        return [row[0] for row in self._ready(queue)]

    def failures(self) -> list[dict[str, Any]]:
        return [
            json.loads(failure) if failure else json.loads(body)["meta"]["failure"]
            for body, failure in self._ready("failed_queue")
        ]

    def _ready(self, queue: str) -> list[Any]:
        with closing(self._connect()) as connection:
            return connection.execute(
                "SELECT body, failure FROM messages WHERE queue = ? AND owner = 0 AND due = 0"
                " ORDER BY priority DESC, seq",
                (queue,),
            ).fetchall()

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._home / "queue.db", timeout=30)


class Rabbitmq(Backend):
    name = "rabbitmq"

    def __init__(self, node: RabbitmqServer, home: Path) -> None:
        self.node = node
        self._home = home
        self.url = node.new_vhost()
        self.vhost = self.url.rpartition("/")[2]
        self.environment = {"CARRIER_HOME": str(home), "RABBITMQ_URL": self.url}

    def broker(self, **options: Any) -> Broker:
        return RabbitmqBroker([self.url], home=self._home, **options)

    def put(self, queue: str, body: bytes, priority: int = 0) -> None:
        with closing(self.connect()) as connection:
            channel = connection.channel()
            channel.confirm_delivery()
            channel.basic_publish("", queue, body, pika.BasicProperties(priority=priority), mandatory=True)

    def bodies(self, queue: str) -> list[bytes]:
        return [body for _, body in self._look(queue)]

    def failures(self) -> list[dict[str, Any]]:
        found = []
        for properties, body in self._look("failed_queue"):
            header = (properties.headers or {}).get("carrier-failure")
            found.append(json.loads(header) if header else json.loads(body)["meta"]["failure"])
        return found

    def ready(self, queue: str) -> int:
        with closing(self.connect()) as connection:
            count: int = connection.channel().queue_declare(queue, passive=True).method.message_count
            return count

    def unacked(self, queue: str) -> int:
        """How many are handed out; the management figures are about a second old."""
        figures = self.node.api(f"/queues/{self.vhost}/{queue}")
        return int(figures.get("messages_unacknowledged", 0))

    def connect(self) -> pika.BlockingConnection:
        """A connection of the test's own."""
        return pika.BlockingConnection(pika.URLParameters(self.url))

    def connections(self) -> list[dict[str, Any]]:
        """The connections to the virtual host that the management API knows of, which is late."""
        return list(self.node.api(f"/vhosts/{self.vhost}/connections"))

    def close_connections(self) -> None:
        """Close every connection to the virtual host, as an operator can."""
        for connection in self.connections():
            try:
                self.node.api(f"/connections/{quote(connection['name'])}", "DELETE")
            except HTTPError as error:
                if error.code != 404:  # it has ended meanwhile
                    raise

    def refuse(self, pattern: str) -> None:
        """Have the queues that match refuse every publish, now and when they are declared."""
        definition = {"max-length": 0, "overflow": "reject-publish"}
        self.node.api(
            f"/policies/{self.vhost}/refuse",
            "PUT",
            {"pattern": pattern, "definition": definition, "apply-to": "queues", "priority": 1},
        )

        def applied() -> bool:
            queues = [each for each in self.node.api(f"/queues/{self.vhost}") if re.search(pattern, each["name"])]
            return all(each.get("policy") == "refuse" for each in queues)

        wait_until(applied, "each queue names the policy")

    def allow(self) -> None:
        """Have them take messages again."""
        self.node.api(f"/policies/{self.vhost}/refuse", "DELETE")

    def _look(self, queue: str) -> list[tuple[pika.BasicProperties, bytes]]:
        found = []
        with closing(self.connect()) as connection:
            channel = connection.channel()
            while (got := channel.basic_get(queue))[0] is not None:
                found.append(got[1:])
            if found:
                channel.basic_nack(0, multiple=True)  # all of them; closing would put them back a moment later
                wait_until(lambda: self._are_back(channel, queue, len(found)), "what was looked at is back")
        return found

    @staticmethod
    def _are_back(channel: Any, queue: str, number: int) -> bool:
        there = channel.queue_declare(queue, passive=True).method
        return bool(there.message_count >= number or there.consumer_count)
