"""What looks secret is not shown, and what does not is."""

from __future__ import annotations

from typing import Any

import pytest

from carrier.monitor.masking import MASK, Masking, masking, unmask
from settings import get_settings


@pytest.mark.parametrize(
    "key",
    [
        *("password", "PASSWORD", "db_password", "userPassword", "passphrase", "smtp.password", "pin", "cvv"),
        *(
            "api_key",
            "apiKey",
            "X-API-Key",
            "access_token",
            "client-secret",
            "Authorization",
            "set-cookie",
            "privateKey",
        ),
    ],
)
def test_keys_that_look_secret(key: str) -> None:
    assert Masking().mask({"a": [{key: "hunter2"}], key: {"inner": "hunter2"}}) == {"a": [{key: MASK}], key: MASK}


@pytest.mark.parametrize("key", ["to", "subject", "key", "author", "pinned", "passenger", "compass", "id", "keyboard"])
def test_keys_that_do_not(key: str) -> None:
    assert Masking().mask({key: "shown"}) == {key: "shown"}


@pytest.mark.parametrize("value", [None, "", False, True, [], {}])
def test_what_is_empty_is_shown(value: Any) -> None:
    assert Masking().mask({"password": value}) == {"password": value}


def test_configured_names_are_masked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    assert masking().mask({"iban": "DE00"}) == {"iban": "DE00"}
    monkeypatch.setenv("MASK_KEYS", "iban, taxNumber")
    get_settings.cache_clear()
    shown = masking().mask({"IBAN": "DE00", "tax_number": 5, "taxNumbers": 6})
    assert shown == {"IBAN": MASK, "tax_number": MASK, "taxNumbers": 6}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "see postgres://u:hun:ter2@h/db and amqp://u:hunter2@h",
            f"see postgres://u:{MASK}@h/db and amqp://u:{MASK}@h",
        ),
        ("http://h:80/a@b", "http://h:80/a@b"),
        ("https://user@host/", "https://user@host/"),
        ('{"password": "hunter2", "n": 1}', f'{{"password": "{MASK}", "n": 1}}'),
        ('{"password": "hunter2", "n": ', f'{{"password": {MASK}, "n": '),
        ("user=bob&password=hunter2&n=1", f"user=bob&password={MASK}&n=1"),
        ("api_key: hunter2\nto: bob", f"api_key: {MASK}\nto: bob"),
        ("password='hunter 2'", f"password={MASK}"),
        ("login failed: {'password': 'hunter2', 'n': 1}", f"login failed: {{'password': {MASK}, 'n': 1}}"),
        ("Authorization: Bearer hunter2\nHost: h", f"Authorization: {MASK}\nHost: h"),
        (r'{"password": "a\"hunter2", "n": ', f'{{"password": {MASK}, "n": '),
        ('{"tokens": ["a", "hunter2"], "n": ', f'{{"tokens": {MASK}, "n": '),
        (r'{"body": "{\"password\": \"hunter2\"}", ', rf'{{"body": "{{\"password\": {MASK}}}", '),
        (r'"{\"password\": \"hunter2\"}"', rf'"{{\"password\": {MASK}}}"'),
    ],
)
def test_text_that_nobody_has_understood(text: str, shown: str) -> None:
    assert Masking().mask_text(text) == shown


def test_what_was_masked_comes_back_by_its_place() -> None:
    original = {"password": "hunter2", "list": [{"token": "a"}, {"token": "b"}], "url": "ftp://u:p@h"}
    shown = Masking().mask(original)
    assert unmask(shown, original, shown) == original
    edited = {**shown, "to": "bob", "list": [shown["list"][0], {"token": "new"}]}
    assert unmask(edited, original, shown) == {**original, "to": "bob", "list": [{"token": "a"}, {"token": "new"}]}
    with pytest.raises(ValueError, match=r"to: write the value in the place of \[masked\]"):
        unmask({"to": MASK}, original, shown)
    with pytest.raises(ValueError, match=r"list\.\d\.token: write"):
        unmask({"list": [*shown["list"], {"token": MASK}]}, original, shown)


def test_items_of_lists_keep_their_own_secrets_when_others_go() -> None:
    original = [{"user": "a", "password": "one"}, {"user": "b", "password": "two"}, {"user": "c", "password": "three"}]
    shown = Masking().mask(original)
    assert unmask(shown[1:], original, shown) == original[1:]
    assert unmask([shown[2], shown[0], shown[1]], original, shown) == [original[2], original[0], original[1]]
    assert unmask([{"user": "new"}, *shown], original, shown) == [{"user": "new"}, *original]
    renamed = [{**shown[0], "user": "new"}, *shown[1:]]
    assert unmask(renamed, original, shown) == [{"user": "new", "password": "one"}, *original[1:]]
    alike = [{"password": "one"}, {"password": "two"}]
    with pytest.raises(ValueError, match=r"0\.password: write the value"):
        unmask([{"password": MASK}], alike, Masking().mask(alike))


@pytest.mark.parametrize(
    ("before", "after"), [(1, True), (0, False), (1, 1.0), ([1], [True]), ({"a": 0}, {"a": False})]
)
def test_what_python_calls_equal_is_a_change(before: Any, after: Any) -> None:
    changed = unmask({"n": after}, {"n": before}, {"n": before})
    assert repr(changed) == repr({"n": after})


def test_long_texts_are_masked_in_no_time() -> None:
    for text in ("a-" * 200_000 + " ://", "password" * 50_000, '"' * 200_000, "://:" * 100_000, "a=" * 100_000):
        assert isinstance(Masking().mask_text(text), str)
