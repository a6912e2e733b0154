"""The JSON Schemas of what travels: for programs in other languages, and for their tests.

https://json-schema.org/draft/2020-12
"""

from __future__ import annotations

from typing import Any

from carrier.messaging.actor import MessageActor
from carrier.messaging.broker import Broker
from carrier.messaging.fields import LARGEST, MAX_DELAY, MAX_PRIORITY

_DRAFT = "https://json-schema.org/draft/2020-12/schema"

ENVELOPE: dict[str, Any] = {
    "$schema": _DRAFT,
    "title": "Envelope",
    "description": "One message: UTF-8 JSON, content type application/json. Fields beside these are carried along.",
    "type": "object",
    "required": ["id", "type", "payload", "max_attempts", "delay", "priority", "created_at"],
    "properties": {
        "id": {"type": "string", "minLength": 1, "maxLength": 255, "description": "Unique; at most 255 bytes."},
        "type": {"type": "string", "minLength": 1, "maxLength": 255, "description": "Names the handler."},
        "payload": {"type": "object", "description": "As the schema of its type says."},
        "max_attempts": {
            "type": "integer",
            "minimum": 1,
            "maximum": LARGEST,
            "description": "Attempts in all, the first included.",
        },
        "delay": {
            "type": "number",
            "minimum": 0,
            "maximum": MAX_DELAY,
            "description": "Seconds before the first attempt; a fraction is allowed.",
        },
        "priority": {
            "type": "integer",
            "minimum": 0,
            "maximum": MAX_PRIORITY,
            "description": "9 is the most urgent. It is set as the AMQP property too.",
        },
        "created_at": {"type": "string", "format": "date-time", "description": "RFC 3339."},
        "meta": {"type": "object", "description": "Carrier's own; leave it out."},
    },
}


def schemas(broker: Broker) -> dict[str, Any]:
    """The envelope's schema, and the payload's of each type that ``broker`` has a model for."""
    payloads = {
        type_: {"$schema": _DRAFT, **actor.payload.model_json_schema(by_alias=True)}
        for type_, actor in sorted(broker.actors.items())
        if isinstance(actor, MessageActor)
    }
    return {"envelope": ENVELOPE, "payloads": payloads}
