"""Who is logged in: kept in this process, so that they end with it."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass, field

from carrier.monitor.console.passwords import Role

#: The cookie, seconds of rest after which a session is over, and how many there are at most.
COOKIE, _REST, _MOST = "carrier_session", 12 * 3600.0, 10_000


@dataclass
class Session:
    """Somebody's browser.

    Attributes:
        role: what they may do.
        who: as the audit log names them.
        token: what each form of theirs carries: another site cannot know it.
        said: what the next page tells them once: what came of what they have just done.
    """

    role: Role
    who: str
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    said: str = ""
    used: float = field(default_factory=time.monotonic)

    def take_said(self) -> str:
        """:attr:`said`, which is told by that."""
        said, self.said = self.said, ""
        return said

    def has_token(self, given: str) -> bool:
        """Whether a form is one of theirs."""
        return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), self.token.encode())


class Sessions:
    """All of them."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[str, Session] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, role: Role, who: str) -> tuple[str, Session]:
        """A new one, and the key that its cookie has."""
        key, session = secrets.token_urlsafe(32), Session(role, who)
        with self._lock:
            self._by_key[key] = session
            while len(self._by_key) > _MOST:
                self._by_key.popitem(last=False)
        return key, session

    def get(self, key: str | None) -> Session | None:
        """That of a cookie, if it is not over."""
        with self._lock:
            session = self._by_key.get(key or "")
            if key is None or session is None:
                return None
            if time.monotonic() - session.used > _REST:
                del self._by_key[key]
                return None
            session.used = time.monotonic()
            self._by_key.move_to_end(key)
            return session

    def end(self, key: str | None) -> None:
        """No more."""
        with self._lock:
            self._by_key.pop(key or "", None)
