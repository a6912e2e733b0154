"""Calls the hooks of a broker's middleware, as Dramatiq does, but only those that do something.

A dozen middlewares are told ten times of each message, and most of Dramatiq's and of ours have nothing to do then.
Somebody else's is always asked: its hooks may be made at run time.
"""

from __future__ import annotations

from typing import Any

import dramatiq
from dramatiq.middleware import Middleware, MiddlewareError


class HookedBroker(dramatiq.Broker):
    """A broker whose signals cost what is done at them."""

    #: The middleware as it was when its hooks were looked at, and who has which.
    _hooks: tuple[list[Middleware], dict[str, list[Middleware]]] = [], {}

    def emit_before(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq's."""
        hook = f"before_{signal}"
        for each in self.having(hook):
            try:
                getattr(each, hook)(self, *args, **kwargs)
            except MiddlewareError:
                raise
            except Exception:
                self.logger.critical("Unexpected failure in %s of %r.", hook, each, exc_info=True)

    def emit_after(self, signal: str, *args: Any, **kwargs: Any) -> None:
        """As Dramatiq's, which goes through the middleware in reverse."""
        hook = f"after_{signal}"
        for each in reversed(self.having(hook)):
            try:
                getattr(each, hook)(self, *args, **kwargs)
            except Exception:
                self.logger.critical("Unexpected failure in %s of %r.", hook, each, exc_info=True)

    def having(self, hook: str) -> list[Middleware]:
        """The middleware that may do something at a hook."""
        known, found = self._hooks
        if known != self.middleware:
            known, found = self._hooks = list(self.middleware), {}
        if hook not in found:
            found[hook] = [each for each in known if not _has_nothing(each, hook)]
        return found[hook]


def _has_nothing(middleware: Middleware, hook: str) -> bool:
    kind = type(middleware)
    is_known = kind.__module__.partition(".")[0] in ("carrier", "dramatiq")
    return is_known and getattr(kind, hook, None) is getattr(Middleware, hook, None)
