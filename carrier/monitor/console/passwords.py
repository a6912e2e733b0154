"""Who may do what: by the passwords of the settings, and not faster than a person types."""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from enum import StrEnum

from pydantic import SecretStr

#: Wrong passwords from one address after which it has to wait, the first wait in s, and the longest.
_FREE, _FIRST, _LONGEST = 5, 2.0, 300.0
#: Addresses that are remembered, and seconds for which.
_ADDRESSES, _MEMORY = 10_000, 3600.0


class Role(StrEnum):
    """What somebody may do."""

    VIEW = "view"
    OPERATE = "operate"


class TooMany(Exception):
    """Too many wrong passwords; ``seconds`` is how long to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"too many wrong passwords: wait {seconds:.0f} s")
        self.seconds = seconds


class Passwords:
    """Checks passwords.

    Parameters:
        operate: CONSOLE_PASSWORD.
        view: CONSOLE_VIEW_PASSWORD. Either may be a hash of argon2, as its command makes it.
    """

    def __init__(self, operate: SecretStr | None, view: SecretStr | None) -> None:
        self._known = [(role, each) for role, each in ((Role.OPERATE, operate), (Role.VIEW, view)) if each]
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def are_set(self) -> bool:
        """Is any needed?"""
        return bool(self._known)

    def role(self, password: str, address: str) -> Role | None:
        """The role of who gives it, or None where it is wrong.

        Raises:
            TooMany: this address has to wait.
        """
        with self._lock:  # one at a time: argon2 takes memory, and who guesses shall not have several tries at once
            self._check(address)
            for role, known in self._known:
                if _is(password, known.get_secret_value()):
                    self._wrong.pop(address, None)
                    return role
            number, _ = self._wrong.pop(address, (0, 0.0))
            self._wrong[address] = (number + 1, time.monotonic())
            while len(self._wrong) > _ADDRESSES:
                self._wrong.popitem(last=False)
        return None

    def _check(self, address: str) -> None:
        number, at = self._wrong.get(address, (0, 0.0))
        if number < _FREE:
            return
        passed = time.monotonic() - at
        if passed > _MEMORY:
            del self._wrong[address]
            return
        wait = min(_FIRST * 2 ** min(number - _FREE, 30), _LONGEST)
        if passed < wait:
            raise TooMany(wait - passed)


def _is(given: str, known: str) -> bool:
    if known.startswith("$argon2"):
        from argon2 import PasswordHasher
        from argon2.exceptions import InvalidHashError, VerificationError

        try:
            return PasswordHasher().verify(known, given)
        except (VerificationError, InvalidHashError):
            return False
    # Of one length, so that nothing is told by the time it takes.
    one, other = (hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest() for text in (given, known))
    return hmac.compare_digest(one, other)
