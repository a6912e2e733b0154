"""What goes wrong between us and a mail server, as opposed to what it says of an e-mail."""

from __future__ import annotations

from collections.abc import Mapping

from carrier.store.deliveries import Reply


class Unusable(Exception):
    """It cannot be used.

    Attributes:
        begun: whether some of the body was on its way, so that it may have taken the e-mail.
        heard: what it had said of recipients before.
    """

    def __init__(self, text: str, *, begun: bool = False, heard: Mapping[str, Reply] | None = None) -> None:
        super().__init__(text)
        self.begun, self.heard = begun, heard or {}


class ServerAway(Unusable):
    """It cannot be reached, or ends the conversation: unreachable, lost, silent, or 421 (RFC 5321, section 3.8)."""


class Misconfigured(Unusable):
    """It is there, and will not serve us until somebody mends a setting, here or there. The text says what to mend."""
