"""Secrets in payloads, kept from whoever looks: a value whose key looks secret is shown as :data:`MASK`.

What is shown, listed or exported goes through here; what is sent back never does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from itertools import zip_longest
from typing import Any

from settings import get_settings

MASK = "[masked]"

#: Parts of a key's name, written without anything between its words: ``apiKey``, ``api-key`` and ``API_KEY`` are one.
_SECRET = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "authorization", "cookie",
    "apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "sshkey", "sessionid", "cardnumber",
)  # fmt: skip
#: Names that are too short to be looked for inside others.
_SECRET_NAMES = {"pwd", "pass", "pin", "otp", "cvv", "cvc", "auth", "bearer", "jwt", "dsn"}

#: The password of a URL (RFC 3986, section 3.2.1), up to the last @ before the path.
_URL_PASSWORD = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]*://[^\s/:@\"']*:)[^\s/\"']+(?=@)")
#: ``key: value`` and ``"key": "value"`` in text that is no JSON.
_PAIR = re.compile(r"(?P<key>[\w-]{2,60})(?P<between>[\"']?\s*[:=]\s*)(?P<value>\"[^\"]*\"?|'[^']*'?|[^\s,;&}\]]+)")
_WORD_ENDS = re.compile(r"[^a-z0-9]+")


class Masking:
    """What is masked: keys that look secret, and those of MASK_KEYS.

    Parameters:
        names: more keys, in any writing of their words.
    """

    def __init__(self, names: Iterable[str] = ()) -> None:
        self._names = _SECRET_NAMES | {_joined(each) for each in names}
        self._known: dict[str, bool] = {}

    def is_secret(self, key: str) -> bool:
        """Whether the value under ``key`` is masked."""
        found = self._known.get(key)
        if found is None:
            joined = _joined(key)
            found = joined in self._names or any(part in joined for part in _SECRET)
            if len(self._known) < 10_000:  # keys are a stranger's
                self._known[key] = found
        return found

    def mask(self, value: Any) -> Any:
        """A copy of a JSON value; what is empty or a truth value is shown."""
        if isinstance(value, dict):
            return {
                key: MASK if _holds_something(each) and self.is_secret(str(key)) else self.mask(each)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.mask(each) for each in value]
        return mask_urls(value) if isinstance(value, str) else value

    def mask_text(self, text: str) -> str:
        """Text that nobody has understood: JSON is masked as such, and pairs that look like ``key: value``."""
        try:
            return json.dumps(self.mask(json.loads(text)), ensure_ascii=False)
        except (ValueError, RecursionError):
            return _PAIR.sub(self._pair, mask_urls(text))

    def _pair(self, found: re.Match[str]) -> str:
        return f"{found['key']}{found['between']}{MASK}" if self.is_secret(found["key"]) else found[0]


def unmask(edited: Any, original: Any, shown: Any) -> Any:
    """``edited``, with what was masked in ``shown`` put back from ``original``, by its place.

    Raises:
        ValueError: a mask stands where nothing was masked.
    """
    return _unmask(edited, original, shown, "")


def _unmask(edited: Any, original: Any, shown: Any, place: str) -> Any:
    if edited == shown:
        return original
    if isinstance(edited, dict):
        given = original if isinstance(original, dict) else {}
        masked = shown if isinstance(shown, dict) else {}
        return {
            key: _unmask(each, given.get(key), masked.get(key), f"{place}.{key}" if place else str(key))
            for key, each in edited.items()
        }
    if isinstance(edited, list):
        originals = original if isinstance(original, list) else []
        masks = shown if isinstance(shown, list) else []
        triples = zip_longest(edited, originals[: len(edited)], masks[: len(edited)])
        return [_unmask(*triple, f"{place}.{number}") for number, triple in enumerate(triples)]
    if isinstance(edited, str) and MASK in edited:
        raise ValueError(f"{place}: write the value in the place of {MASK}")
    return edited


def mask_urls(text: str) -> str:
    """``text`` without the passwords of URLs."""
    return _URL_PASSWORD.sub(rf"\g<1>{MASK}", text) if "://" in text else text


def masking() -> Masking:
    """That of this installation."""
    return _of(tuple(get_settings().masked_keys))


_of = cache(Masking)


def _joined(key: str) -> str:
    return _WORD_ENDS.sub("", key.lower())


def _holds_something(value: Any) -> bool:
    return value is not None and not isinstance(value, bool) and value not in ("", [], {})
