"""All of Carrier's actors, and the one that does nothing beside them, as one module for ``carrier worker``."""

from __future__ import annotations

from actors import broker
from benchmarks.peers.noop_actor import noop

__all__ = ["broker", "noop"]
