"""A JSON document as it comes off a queue: read fast, and strictly.

pydantic's reader takes a third of the time of Python's own, but not all that JSON is (half a surrogate pair), nor with
a reason when it refuses. So what it does not take is read again by Python's, which has the last word. It also takes a
number too large for a double as infinity; a document that may have one is looked through.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

from pydantic_core import from_json

from carrier.messaging.errors import EnvelopeError

#: How deep lists and objects may stand in each other: what is deeper could be read here and not elsewhere.
MAX_DEPTH = 200


def read(body: bytes) -> Any:
    """What is in a document.

    Raises:
        EnvelopeError: it is no JSON, or what cannot be written as JSON again; the text says which.
    """
    check_depth(body)
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError:
        return _read_strictly(body)
    if _has_large_numbers(body) and not _is_finite(found):
        return _read_strictly(body)
    return found


#: Every digit as 0, every E as e.
_SHAPE = bytes(48 if 48 <= each <= 57 else 101 if each == 69 else each for each in range(256))


#: A number with an exponent of three digits and more; text in a string may look so.
_LARGE = re.compile(rb"(?:^|[\[,:\s])-?[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]{3}")


def _has_large_numbers(body: bytes) -> bool:
    """Whether something in it looks like a number of 1e100 and more. Parts of ids do at first sight."""
    shape = body.translate(_SHAPE)
    return b"0" * 200 in shape or ((b"0e000" in shape or b"0e+0" in shape) and _LARGE.search(body) is not None)


def _is_finite(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_is_finite, value.values()))
    if isinstance(value, list):
        return all(map(_is_finite, value))
    return not isinstance(value, float) or math.isfinite(value)


def _read_strictly(body: bytes) -> Any:
    try:
        return _decode(body.decode().removeprefix("\ufeff"))
    except EnvelopeError:
        raise
    except (ValueError, RecursionError) as error:
        # ValueError: no JSON, no UTF-8, or an integer of thousands of digits.
        raise EnvelopeError(f"the body is not JSON: {str(error).partition(':')[0]}") from None


def _finite(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise EnvelopeError(f"the body is not JSON: the number {text[:20]} is out of range")
    return number


def _refuse(constant: str) -> float:
    raise EnvelopeError(f"the body is not JSON: it holds {constant}")


# What cannot be written again must not be read: JSON has no NaN and no infinity (RFC 8259, section 6).
_decode = json.JSONDecoder(parse_float=_finite, parse_constant=_refuse).decode


def check_depth(body: bytes) -> None:
    """A body that is JSON, or pretends to be.

    Raises:
        EnvelopeError: lists and objects stand too deep in each other.
    """
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _depth(body) > MAX_DEPTH:
        raise EnvelopeError(f"the message is nested more than {MAX_DEPTH} deep")


#: A string, or a bracket. An unfinished string goes to the end: it is no JSON anyway.
_NESTING = re.compile(rb'"(?:[^"\\]++|\\.)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)


def _depth(body: bytes) -> int:
    deepest = depth = 0
    for found in _NESTING.finditer(body):
        if found[0] in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        elif found[0] in b"]}":
            depth -= 1
    return deepest
