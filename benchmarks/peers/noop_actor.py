"""Carrier's actor that does nothing, on whichever broker is Dramatiq's global one when this is imported."""

from __future__ import annotations

import os
import time

from pydantic import BaseModel

import carrier
from benchmarks.peers.slots import begun

_TAKES = float(os.environ.get("BENCH_TAKES_MS", "0")) / 1000


class Note(BaseModel):
    """What is sent."""

    n: int
    text: str


@carrier.actor("noop", queue="noop", payload=Note)
def noop(note: Note) -> None:
    """Nothing, or so many milliseconds of waiting as a service would take to answer."""
    begun(note.n)
    if _TAKES:
        time.sleep(_TAKES)
