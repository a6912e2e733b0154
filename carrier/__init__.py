"""Carrier: background messages that are not lost.

``messages`` sends and works; ``actor`` declares an actor with a payload model; ``connect`` makes the broker of the
settings for an application that has actors of its own. Each is imported at its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from carrier.messaging.actor import actor
    from carrier.messaging.errors import (
        Deferred,
        PermanentError,
        PublishError,
        TemporaryError,
        UnknownMessageType,
    )
    from carrier.messaging.service import messages
    from carrier.wiring import connect

__all__ = [
    "Deferred",
    "PermanentError",
    "PublishError",
    "TemporaryError",
    "UnknownMessageType",
    "actor",
    "connect",
    "messages",
]

_PLACES = {
    "actor": "carrier.messaging.actor",
    "connect": "carrier.wiring",
    "messages": "carrier.messaging.service",
    "Deferred": "carrier.messaging.errors",
    "PermanentError": "carrier.messaging.errors",
    "PublishError": "carrier.messaging.errors",
    "TemporaryError": "carrier.messaging.errors",
    "UnknownMessageType": "carrier.messaging.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_PLACES[name]), name)
