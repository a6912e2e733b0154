"""The fields of an envelope: the short way never takes what the long one refuses, and takes what is common."""

from __future__ import annotations

from typing import Any

import pytest

from carrier.messaging.envelope import from_fields
from carrier.messaging.errors import EnvelopeError
from carrier.messaging.fields import KNOWN, LARGEST, MAX_DELAY, is_plain, wrong_fields

FIELDS: dict[str, Any] = {
    "id": "019ac0de-0000-7000-8000-000000000000", "type": "email", "payload": {"to": "user@example.com"},
    "max_attempts": 3, "delay": 0, "priority": 0, "created_at": "2026-11-23T10:00:00.000Z",
    "meta": {"attempt": 2, "eta": 1764000000000, "remaining": 5, "args": [1], "attempts": [{}], "failure": {}},
}  # fmt: skip
ODD: list[Any] = [
    None, True, False, 0, 1, -1, 9, 10, LARGEST, LARGEST + 1, int(MAX_DELAY), int(MAX_DELAY) + 1, 0.0, 1.5, -0.5,
    MAX_DELAY, "", "a", "a" * 255, "a" * 256, "ä" * 127, "ä" * 128, "\ud800", "2026-11-23T10:00:00Z",
    "2026-13-01", [], {}, [1], {"a": 1},
]  # fmt: skip


def test_what_is_common_is_taken_by_the_short_way() -> None:
    assert is_plain(FIELDS)
    assert wrong_fields(FIELDS) == ""


@pytest.mark.parametrize("name", [*sorted(KNOWN), *(f"meta.{name}" for name in sorted(FIELDS["meta"])), "meta.options"])
def test_the_short_way_takes_nothing_that_is_wrong(name: str) -> None:
    refused = 0
    for value in ODD:
        inner = name.removeprefix("meta.")
        fields = {**FIELDS, name: value} if inner == name else {**FIELDS, "meta": {**FIELDS["meta"], inner: value}}
        wrong = wrong_fields(fields)
        assert not (wrong and is_plain(fields)), value
        refused += bool(wrong)
        if wrong:
            with pytest.raises(EnvelopeError, match=inner):
                from_fields(fields)
        else:
            from_fields(fields)
    assert 0 < refused < len(ODD)
    missing = {key: value for key, value in FIELDS.items() if key != name}
    assert not (is_plain(missing) and wrong_fields(missing))
