"""JSON is read as Python's own reader reads it, without what cannot be written again."""

from __future__ import annotations

import json
import random
import string
from typing import Any

import pytest

from carrier.messaging.document import MAX_DEPTH, read
from carrier.messaging.errors import EnvelopeError


@pytest.mark.parametrize(
    "text",
    [
        '{"a": 1, "a": 2}', '"\\ud800"', '"\\ud83d\\ude00"', '"\\u0000"', "\ufeff1", " [1 ,2]\n", "-0.0", "1e-400",
        "5e-324", "1e307", "1.7976931348623157e308", "12345678901234567890123", "0.1234567890123456789",
        '"1e999"', '"' + "0" * 300 + '"',
        "[" * MAX_DEPTH + "]" * MAX_DEPTH, '{"id":"019e0123-1e00-7000-8000-0e0000000000"}',
    ],
)  # fmt: skip
def test_what_is_json_is_read_as_python_reads_it(text: str) -> None:
    assert repr(read(text.encode())) == repr(json.loads(text.removeprefix("\ufeff")))


@pytest.mark.parametrize(
    "body",
    [
        b"", b"1 2", b"01", b"1.", b"[1,]", b'"\t"', b"\xff", b'"\xed\xa0\x80"', b"'a'", b"/**/1", b"tru", b"\x001",
        b"NaN", b"Infinity", b"-Infinity", b"[1e999]", b'{"a": {"b": -1e309}}', b"1E+400", b"1" * 5000,
        b"1" + b"0" * 250 + b"e99", b"1" + b"0" * 310 + b".0", b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1),
    ],
)  # fmt: skip
def test_what_is_none_or_cannot_be_written_again_is_refused(body: bytes) -> None:
    with pytest.raises(EnvelopeError, match=r"not JSON|nested"):
        read(body)


def test_random_documents_are_read_as_python_reads_them() -> None:
    chance = random.Random(7)

    def value(depth: int) -> Any:
        kind = chance.randrange(8 if depth < 4 else 6)
        if kind == 6:
            return [value(depth + 1) for _ in range(chance.randrange(4))]
        if kind == 7:
            return {text(): value(depth + 1) for _ in range(chance.randrange(4))}
        scale = 10.0 ** chance.randrange(-300, 300)
        return (None, True, chance.randrange(-(10**20), 10**20), chance.random() * scale, text(), chance.random())[kind]

    def text() -> str:
        return "".join(chance.choice(string.printable + 'äß€😀\x00\ud800\\"') for _ in range(chance.randrange(12)))

    for _ in range(2_000):
        document = value(0)
        for body in (json.dumps(document), json.dumps(document, ensure_ascii=False)):
            assert read(body.encode("utf-8", "replace")) == json.loads(body.encode("utf-8", "replace"))
