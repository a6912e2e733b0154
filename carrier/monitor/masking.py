"""Secrets in payloads, kept from whoever looks: a value whose key looks secret is shown as :data:`MASK`.

What is shown, listed or exported goes through here; what is sent back never does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any

from settings import get_settings

MASK = "[masked]"

#: Parts of a key's name, written without anything between its words: ``apiKey``, ``api-key`` and ``API_KEY`` are one.
_SECRET = (
    "password", "passwd", "passphrase", "passcode", "secret", "token", "credential", "authorization", "cookie",
    "apikey", "accesskey", "privatekey", "signingkey", "encryptionkey", "sshkey", "sessionid", "cardnumber",
)  # fmt: skip
#: Names that are too short to be looked for inside others.
_SECRET_NAMES = {"creds", "pwd", "pass", "pin", "otp", "cvv", "cvc", "auth", "bearer", "jwt", "dsn"}

#: The password of a URL (RFC 3986, section 3.2.1), up to the last @ before the path.
_URL_PASSWORD = re.compile(r"(\b[a-zA-Z][a-zA-Z0-9+.-]{0,30}://[^\s/:@\"']*:)[^\s/\"']+(?=@)")
#: ``key: `` and ``"key": `` in text that is no JSON, or a part of it, quotes escaped or not.
_KEY = re.compile(r"""(?<![\w.-])([\w.-]{2,200}+)\\*["']?\s{0,20}[:=]\s{0,20}""")
#: What follows: without quotes it goes to the end of the line or to a separator, a list or an object to its end, or to
#: the end of all where it has none.
_VALUE = re.compile(
    r"""\\+"[^"]*"? | "(?:[^"\\]|\\.)*"? | '(?:[^'\\]|\\.)*'? | [\[{].* | [^,;&}\]\n]+""", re.VERBOSE | re.DOTALL
)
#: What may stand behind a list or an object; the empty text is the end of all.
_AFTER = ("", " ", "\n", ",", ";", ")", "]", "}", "'", '"', "\\")
_BRACKET = re.compile(r"[][{}]")
#: Characters in which the end of a list or an object is looked for.
_LONGEST = 100_000
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

    def mask(self, value: Any, text: Callable[[str], str] | None = None) -> Any:
        """A copy of a JSON value; what is empty or a truth value is shown.

        Parameters:
            text: what is done with texts whose key is no secret; passwords of URLs are masked without it.
        """
        if isinstance(value, dict):
            return {
                key: MASK if _holds_something(each) and self.is_secret(str(key)) else self.mask(each, text)
                for key, each in value.items()
            }
        if isinstance(value, list):
            return [self.mask(each, text) for each in value]
        return (text or mask_urls)(value) if isinstance(value, str) else value

    def mask_text(self, text: str) -> str:
        """Text that nobody has understood: JSON is masked as such, everything else as :meth:`mask_error` does."""
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            return self.mask_error(text)
        return json.dumps(self.mask(value, self.mask_error), ensure_ascii=False)

    def mask_error(self, text: str) -> str:
        """What an error says: values are masked that stand behind a secret key."""
        text, shown, end = mask_urls(text), [], 0
        for found in _KEY.finditer(text):
            if found.start() >= end and self.is_secret(found[1]) and (value := _VALUE.match(text, found.end())):
                shown += [text[end : found.end()], MASK]
                end = _end(text, value.start()) or value.end()
        return "".join([*shown, text[end:]])


def _end(text: str, start: int) -> int | None:
    """Where the list or object ends that begins there; None for what is none, or has no end."""
    depth = 0
    for found in _BRACKET.finditer(text, start, start + _LONGEST):
        if found.start() > start and not depth:
            return None
        depth += 1 if found[0] in "[{" else -1
        if not depth:  # more of the value may follow: nobody has promised that it is JSON
            return found.end() if text[found.end() : found.end() + 1] in _AFTER else None
    return None


def unmask(edited: Any, original: Any, shown: Any, place: str = "") -> Any:
    """``edited``, with what was masked in ``shown`` put back from ``original``, by its place.

    Raises:
        ValueError: a mask stands where nothing was masked, or in a list where it could mean several values.
    """
    if isinstance(edited, dict):
        given = original if isinstance(original, dict) else {}
        masked = shown if isinstance(shown, dict) else {}
        return {
            key: unmask(each, given.get(key), masked.get(key), f"{place}.{key}" if place else str(key))
            for key, each in edited.items()
        }
    if isinstance(edited, list):
        originals = original if isinstance(original, list) else []
        masks = shown if isinstance(shown, list) else []
        return [_unmask_item(edited, number, originals, masks, f"{place}.{number}") for number in range(len(edited))]
    if type(edited) is type(shown) and edited == shown:
        return original
    if isinstance(edited, str) and MASK in edited:
        raise ValueError(f"{place}: write the value in the place of {MASK}")
    return edited


def _unmask_item(edited: list[Any], number: int, originals: list[Any], masks: list[Any], place: str) -> Any:
    """Items move when others are removed or added: an item is known by how it was shown, and by its place where none
    was removed or added."""
    item = edited[number]
    if not isinstance(item, dict | list) and not (isinstance(item, str) and MASK in item):
        return item
    meant = [original for original, mask in zip(originals, masks, strict=False) if _same(mask, item)]
    if len(edited) == len(masks) and (not meant or _same(masks[number], item)):
        return unmask(item, originals[number], masks[number], place)
    if meant and all(_same(each, meant[0]) for each in meant):
        return meant[0]
    return unmask(item, None, None, place)


def _same(one: Any, other: Any) -> bool:
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


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
