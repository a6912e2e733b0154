"""A web application that works on messages beside its requests, as WSGI and as ASGI has it.

START says when it begins to work: at its "import", or with the server's "lifespan".
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from carrier import messages

if os.environ["START"] == "import":
    messages.start_consumers(threads=1)


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Answers everything."""
    start_response("200 OK", [])
    return [b"here"]


async def asgi(
    scope: dict[str, Any], receive: Callable[[], Awaitable[dict[str, Any]]], send: Callable[..., Awaitable[None]]
) -> None:
    """Lives with its server."""
    assert scope["type"] == "lifespan", "nobody asks it anything"
    while (await receive())["type"] == "lifespan.startup":
        if os.environ["START"] == "lifespan":
            messages.start_consumers(threads=1)
        await send({"type": "lifespan.startup.complete"})
    await send({"type": "lifespan.shutdown.complete"})
