"""Somebody who asks a console without a browser's help, and sees each answer as it is."""

from __future__ import annotations

import http.client
import re
from dataclasses import dataclass, field
from urllib.parse import urlencode

HOST = "127.0.0.1"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    text: str


@dataclass
class Client:
    """Keeps the session's cookie, as a browser does.

    Attributes:
        headers: what is sent along each time.
    """

    port: int
    cookie: str = ""
    headers: dict[str, str] = field(default_factory=dict)

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request; names of headers have _ for -."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        given = {name.replace("_", "-"): value for name, value in {**self.headers, **headers}.items()}
        if self.cookie and "Cookie" not in given:
            given["Cookie"] = self.cookie
        connection.request(method, path, body, given)
        response = connection.getresponse()
        text = response.read().decode()
        found = {name.lower(): value for name, value in response.getheaders()}
        connection.close()
        if "set-cookie" in found:
            self.cookie = found["set-cookie"].partition(";")[0]
        return Answer(response.status, found, text)

    def get(self, path: str, **headers: str) -> Answer:
        """A page."""
        return self.ask("GET", path, **headers)

    def post(self, path: str, fields: dict[str, object] | None = None, **headers: str) -> Answer:
        """A form."""
        body = urlencode(fields or {}, doseq=True).encode()
        given = {"Content_Type": "application/x-www-form-urlencoded", **headers}
        return self.ask("POST", path, body, **given)

    def token(self, path: str = "/failed") -> str:
        """That of the session, off a page with a form."""
        found = re.search(r'name="token" value="([^"]+)"', self.get(path).text)
        assert found is not None, "there is no form"
        return found[1]
