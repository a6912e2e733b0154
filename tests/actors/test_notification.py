"""A notification is in the inbox once, and goes by e-mail to whom carrier.toml names."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actors.notification.handler import notify
from actors.notification.payload import Notification
from carrier.messaging.errors import PermanentError
from carrier.store import inbox
from settings import Settings, get_settings

Make = Callable[..., Settings]


def notification(channel: str, user: str = "user123") -> Notification:
    return Notification.model_validate(
        {"user_id": user, "type": channel, "title": "Title", "message": "Message", "data": {"n": 1}}
    )


def test_it_is_in_the_inbox_once(settings: Make) -> None:
    made = settings()
    get_settings.cache_clear()
    for _ in range(2):
        notify(notification("inbox"), "id-1", made)
    notify(notification("inbox", "somebody else"), "id-2", made)
    (entry,) = inbox.entries("user123")
    assert (entry.title, entry.message, entry.data) == ("Title", "Message", {"n": 1})


def test_it_goes_by_email_to_the_configured_recipient(settings: Make) -> None:
    made = settings('[recipients.user123]\nemail = "user@example.com"\n')
    get_settings.cache_clear()
    notify(notification("email"), "id-1", made)
    (path,) = made.outbox.iterdir()
    assert b"To: user@example.com" in path.read_bytes()
    assert len(inbox.entries("user123")) == 1


def test_somebody_not_configured_is_a_permanent_failure_that_says_what_to_add(settings: Make) -> None:
    made = settings()
    get_settings.cache_clear()
    with pytest.raises(PermanentError, match=r"add '\[recipients.user123\]'"):
        notify(notification("email"), "id-1", made)
    assert len(inbox.entries("user123")) == 1, "the inbox has it all the same"
