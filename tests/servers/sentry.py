"""A Sentry of the test's own: it takes envelopes as Sentry does, and keeps the events in them.

https://develop.sentry.dev/sdk/data-model/envelopes/
"""

from __future__ import annotations

import gzip
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from tests.servers.ports import HOST


class Sentry:
    """What it has been told."""

    def __init__(self, port: int) -> None:
        self.dsn = f"http://key@{HOST}:{port}/1"
        self.events: list[dict[str, Any]] = []
        self.check_ins: list[dict[str, Any]] = []
        #: Everything that came, as text: for what must not be in it.
        self.texts: list[str] = []

    def take(self, body: bytes) -> None:
        self.texts.append(body.decode())
        lines = iter(body.splitlines()[1:])
        for header in lines:
            match json.loads(header)["type"] if header else None:
                case "event":
                    self.events.append(json.loads(next(lines)))
                case "check_in":
                    self.check_ins.append(json.loads(next(lines)))


@contextmanager
def sentry() -> Iterator[Sentry]:
    """It runs in this process, on a free port."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            told.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            """A test's output is no place for a log of requests."""

    server = ThreadingHTTPServer((HOST, 0), Handler)
    told = Sentry(server.server_port)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield told
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
