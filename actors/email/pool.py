"""Connections that are kept between e-mails: a new one each, with TLS and login, takes longer than the e-mail itself.

A thread takes one out, and has it alone until it gives it back: there are at most as many as threads send at the same
time. The one that was used last goes out first, so that with less to do fewer are held, and those that rest are closed.
"""

from __future__ import annotations

import os
import smtplib
import threading
import time
from dataclasses import dataclass, field

from actors.email import connection
from actors.email.server import Server
from actors.email.transaction import Letter, hand_over
from actors.email.trouble import ServerAway
from carrier.store.deliveries import Reply

#: Seconds that a connection lasts, and rests; e-mails that it carries. Servers end them after some of each.
MAX_AGE, MAX_REST, MAX_MAILS = 300.0, 10.0, 100


@dataclass(eq=False, slots=True)
class _Kept:
    """A connection; times by the monotonic clock, in s."""

    smtp: smtplib.SMTP
    born: float = field(default_factory=time.monotonic)
    rested: float = 0.0
    mails: int = 0


class Pool:
    """The kept connections of this process, by server."""

    def __init__(self) -> None:
        self._resting: dict[Server, list[_Kept]] = {}
        self._change = threading.Condition()
        self._sweeper: threading.Thread | None = None

    def send(self, server: Server, letter: Letter) -> dict[str, Reply]:
        """Send over a kept connection or a new one; what the server says of each recipient.

        Raises:
            ServerAway, Misconfigured: nobody new has it, unless the error says that its body had begun.
        """
        kept = self._take(server)
        if kept is not None:
            try:
                return self._send(server, kept, letter)
            except ServerAway as error:
                # It had been closed while it rested, or had carried as many as the server lets it: try with a new one.
                if error.begun or error.heard:
                    raise
        return self._send(server, _Kept(connection.connect(server)), letter)

    def _send(self, server: Server, kept: _Kept, letter: Letter) -> dict[str, Reply]:
        replies = hand_over(kept.smtp, letter)
        kept.mails += 1
        self._give_back(server, kept)
        return replies

    def _take(self, server: Server) -> _Kept | None:
        with self._change:
            resting = self._resting.get(server)
            return resting.pop() if resting else None

    def _give_back(self, server: Server, kept: _Kept) -> None:
        if kept.smtp.sock is None:
            return
        if kept.mails >= MAX_MAILS or time.monotonic() - kept.born >= MAX_AGE:
            connection.quit(kept.smtp)
            return
        kept.rested = time.monotonic()
        with self._change:
            self._resting.setdefault(server, []).append(kept)
            if self._sweeper is None:
                self._sweeper = threading.Thread(target=self._sweep, name="carrier-smtp", daemon=True)
                self._sweeper.start()
            self._change.notify()

    def _sweep(self) -> None:
        """Close what has rested for too long."""
        while True:
            with self._change:
                self._change.wait_for(lambda: any(self._resting.values()))
            time.sleep(MAX_REST / 4)  # a round of its own pace
            with self._change:
                over = self._rested(time.monotonic() - MAX_REST)
            for each in over:
                connection.quit(each.smtp)

    def _rested(self, since: float) -> list[_Kept]:
        over = [each for resting in self._resting.values() for each in resting if each.rested <= since]
        for resting in self._resting.values():
            resting[:] = [each for each in resting if each.rested > since]
        return over

    def close(self) -> None:
        """Close those that rest."""
        with self._change:
            over = self._rested(time.monotonic())
        for each in over:
            connection.quit(each.smtp)


pool = Pool()


def _after_fork() -> None:
    # Its connections are the parent's; not closed, because with TLS that would say something on them.
    global pool
    _inherited.append(pool)
    pool = Pool()


_inherited: list[Pool] = []
os.register_at_fork(after_in_child=_after_fork)
