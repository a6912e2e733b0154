"""A mail server that answers as a test says, and keeps all that it was told."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Self

#: Answers that are none: the connection ends, or nothing is said from then on.
DROP, SILENCE = "drop", "silence"

#: What is answered where a test says nothing else. The verb ``END`` is the end of the body.
_USUAL = {
    "GREETING": "220 ready",
    "DATA": "354 go on",
    "END": "250 2.0.0 taken",
    "QUIT": "221 bye",
    "STARTTLS": "220 go on",
    "AUTH": "235 welcome",
}


@dataclass(frozen=True)
class Taken:
    """An e-mail that was answered with 250: the envelope, and the bytes without the dots of the way."""

    sender: str
    recipients: list[str]
    data: bytes
    connection: int


@dataclass
class ScriptedSmtp:
    """``with ScriptedSmtp(…) as server:``

    Attributes:
        answers: by verb, or by verb and address (``RCPT gone@example.com``): one answer for ever, or one after the
            other and the usual one after that.
        features: the lines of EHLO.
        tls: speak TLS, from the first byte with ``is_implicit``, else after STARTTLS.
        is_strict: RCPT and DATA are refused where MAIL was.
        said: every line that was heard, with the number of its connection.
    """

    answers: dict[str, str | list[str]] = field(default_factory=dict)
    features: Sequence[str] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000")
    tls: ssl.SSLContext | None = None
    is_implicit: bool = False
    is_strict: bool = True
    said: list[tuple[int, str]] = field(default_factory=list)
    taken: list[Taken] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.url = f"smtp://127.0.0.1:{self.port}"
        self.connections = 0
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._start(self._accept)
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.close_connections()
        for thread in self._threads:
            thread.join(20)
            assert not thread.is_alive()

    def close_connections(self) -> None:
        """End all that are open, whatever they are at."""
        for each in self._open:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    def verbs(self, connection: int | None = None) -> list[str]:
        """The first words of what was heard."""
        return [line.partition(" ")[0].upper() for number, line in self.said if connection in (None, number)]

    def _start(self, what: Callable[..., object], *arguments: object) -> None:
        thread = threading.Thread(target=what, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            self._start(self._serve, connection, self.connections)

    def _serve(self, connection: socket.socket, number: int) -> None:
        with contextlib.suppress(OSError, _Ended), contextlib.closing(connection):
            if self.tls is not None and self.is_implicit:
                connection = self._protect(connection)
            _Session(self, connection, number).run()

    def _protect(self, connection: socket.socket) -> socket.socket:
        assert self.tls is not None
        protected = self.tls.wrap_socket(connection, server_side=True)
        self._open.append(protected)  # the other one is a shell now
        return protected

    def answer(self, verb: str, address: str = "") -> str:
        """What is answered now."""
        for key in (f"{verb} {address}", verb):
            said = self.answers.get(key)
            if isinstance(said, str):
                return said
            if said:
                return said.pop(0)
        return _USUAL.get(verb, "250 ok")


class _Ended(Exception):
    pass


class _Session:
    def __init__(self, server: ScriptedSmtp, connection: socket.socket, number: int) -> None:
        self._server, self._connection, self._number = server, connection, number
        self._heard = connection.makefile("rb")
        self._sender, self._recipients = "", list[str]()

    def run(self) -> None:
        try:
            self._say(self._server.answer("GREETING"))
            while line := self._heard.readline():
                self._obey(line.decode("utf-8", "replace").rstrip("\r\n"))
        finally:
            self._heard.close()
            self._connection.close()  # another one than at the beginning, once TLS has begun

    def _say(self, answer: str) -> None:
        if answer == DROP:
            raise _Ended
        if answer == SILENCE:
            while self._heard.readline():  # for good
                pass
            raise _Ended
        self._connection.sendall(f"{answer}\r\n".encode())

    def _obey(self, line: str) -> None:
        self._server.said.append((self._number, line))
        verb = line.partition(" ")[0].upper()
        address = line.partition("<")[2].partition(">")[0]
        answer = self._server.answer(verb, address)
        good = answer[:1] == "2"
        match verb:
            case "EHLO" if answer == "250 ok":
                lines = ["scripted", *self._server.features]
                answer = "\r\n".join(f"250{' ' if n == len(lines) else '-'}{each}" for n, each in enumerate(lines, 1))
            case "MAIL" if good and self._sender:
                answer = "503 one is begun"
            case "MAIL" if good:
                self._sender, self._recipients = address, []
            case "RCPT" | "DATA" if not self._sender and self._server.is_strict:
                answer = "503 MAIL first"
            case "RCPT" if good:
                self._recipients.append(address)
            case "RSET" if good:
                self._sender, self._recipients = "", []
            case "DATA" if answer[:1] == "3":
                self._say(answer)
                self._take()
                return
        self._say(answer)
        if verb == "STARTTLS" and good and self._server.tls is not None:
            self._heard.close()
            self._connection = self._server._protect(self._connection)
            self._heard = self._connection.makefile("rb")
        if verb == "QUIT":
            raise _Ended

    def _take(self) -> None:
        lines = []
        while (line := self._heard.readline()) != b".\r\n":
            if not line:
                raise _Ended
            lines.append(line[1:] if line.startswith(b".") else line)
        data = b"".join(lines)
        self._server.said.append((self._number, f"END {len(data)}"))
        answer = self._server.answer("END") if self._recipients else "554 no valid recipients"
        if answer.startswith("250"):
            self._server.taken.append(Taken(self._sender, self._recipients, data, self._number))
        self._say(answer)
        self._sender, self._recipients = "", []
