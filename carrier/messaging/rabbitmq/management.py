"""RabbitMQ's management API: the figures that AMQP itself does not tell. They are up to 5 s old.

https://www.rabbitmq.com/docs/management#http-api
"""

from __future__ import annotations

import base64
import http.client
import json
import re
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.figures import QueueFigures, WorkerFigures

#: Seconds to wait for an answer.
_TIMEOUT = 10.0
#: By this name :class:`Nodes` marks the connections of workers.
_WORKER = re.compile(r"carrier worker (.+) (\d+)")


class Management:
    """One virtual host, as the API shows it.

    Parameters:
        url: ``https://user:password@host:15671``.
        user: for a URL without one: name and password.
    """

    def __init__(self, url: str, vhost: str, user: tuple[str, str]) -> None:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        self._base = f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"
        self._vhost = quote(vhost, safe="")
        if parts.username is not None:
            user = unquote(parts.username), unquote(parts.password or "")
        self._authorization = "Basic " + base64.b64encode(":".join(user).encode()).decode()

    def queues(self) -> dict[str, QueueFigures]:
        """Every queue by its name.

        Raises:
            BrokerUnavailable: the API cannot be used; the text says why.
        """
        return {each["name"]: _figures(each) for each in self._get(f"queues/{self._vhost}")}

    def workers(self) -> list[WorkerFigures]:
        """The processes with a worker's connection. Raises as :meth:`queues`."""
        found: dict[tuple[str, int], list[str]] = {}
        for each in self._get(f"vhosts/{self._vhost}/connections"):
            name = each.get("client_properties", {}).get("connection_name", "")
            if match := _WORKER.fullmatch(name):
                found.setdefault((each.get("peer_host", ""), int(match[2])), []).append(match[1])
        return [WorkerFigures(host, process, sorted(set(names))) for (host, process), names in sorted(found.items())]

    def alarms(self) -> list[str]:
        """What keeps a node from taking messages. Raises as :meth:`queues`."""
        lines = []
        for node in self._get("nodes"):
            for key, what in (("mem_alarm", "is short of memory"), ("disk_free_alarm", "is short of disk space")):
                if node.get(key):
                    lines.append(f"node {node['name']} {what}: it takes no messages until that is mended")
            if not node.get("running", True):
                lines.append(f"node {node['name']} does not run")
        return lines

    def policy_of(self, queue: str) -> dict[str, Any]:
        """What policies set for a queue. Raises as :meth:`queues`."""
        found: dict[str, Any] = self._get(f"queues/{self._vhost}/{quote(queue, safe='')}")
        return found.get("effective_policy_definition") or {}

    def set_policy(self, name: str, pattern: str, definition: dict[str, Any], *, priority: int = 0) -> None:
        """Have a policy for the queues whose names match. Raises as :meth:`queues`."""
        body = {"pattern": pattern, "definition": definition, "apply-to": "queues", "priority": priority}
        self._ask(self._policy(name), method="PUT", body=json.dumps(body).encode())

    def delete_policy(self, name: str) -> None:
        """Have it no more; raises as :meth:`queues`, also where it is not there."""
        self._ask(self._policy(name), method="DELETE")

    def _policy(self, name: str) -> str:
        return f"policies/{self._vhost}/{quote(name, safe='')}"

    def _get(self, path: str) -> Any:
        return json.loads(self._ask(path))

    def _ask(self, path: str, *, method: str = "GET", body: bytes | None = None) -> bytes:
        headers = {"Authorization": self._authorization, "Content-Type": "application/json"}
        request = urllib.request.Request(  # noqa: S310  (the settings take http and https only)
            f"{self._base}/api/{path}", data=body, headers=headers, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310  (as above)
                read: bytes = answer.read()
                return read
        except urllib.error.HTTPError as error:
            why = "user or password is wrong" if error.code == 401 else f"{error.code} {error.reason}"
        except urllib.error.URLError as error:
            why = str(getattr(error.reason, "strerror", None) or error.reason).lower()
        except (OSError, http.client.HTTPException, ValueError) as error:
            why = str(error) or type(error).__name__
        raise BrokerUnavailable(f"RABBITMQ_MANAGEMENT_URL: {self._base} cannot be used: {why}")


def _figures(queue: dict[str, Any]) -> QueueFigures:
    rates = queue.get("message_stats", {})

    def rate(name: str) -> float:
        return round(float(rates.get(f"{name}_details", {}).get("rate", 0.0)), 1)

    return QueueFigures(
        name=queue["name"],
        ready=queue.get("messages_ready", 0),
        unacked=queue.get("messages_unacknowledged", 0),
        consumers=queue.get("consumers", 0),
        publish_rate=rate("publish"),
        ack_rate=rate("ack"),
    )
