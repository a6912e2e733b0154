"""The payload of a notification message."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, JsonValue

from actors.payload import Line, Payload, Text


class Notification(Payload):
    """A notification of one user by one channel."""

    user_id: Annotated[Line, Field(min_length=1, max_length=255)]
    #: The channel. Every notification is in the inbox too: that is the record of what a user was notified of.
    type: Literal["email", "inbox"]
    title: Annotated[Line, Field(min_length=1, max_length=255)]
    message: Annotated[Text, Field(max_length=100_000)]
    data: dict[str, JsonValue] | None = None
