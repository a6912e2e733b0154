"""What a handler knows of the message that it handles; called from a plain script there is none."""

from __future__ import annotations

from dramatiq.middleware import CurrentMessage

from carrier.messaging.identity import new_id


def message_id() -> str:
    """The id of the message that this thread handles, the same on every attempt; a new one outside of a worker."""
    message = CurrentMessage.get_current_message()
    return message.message_id if message is not None else new_id()
