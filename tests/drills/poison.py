"""Some messages kill the worker that handles them, every time, and all others must not suffer."""

from __future__ import annotations

from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import Site

POISONS = 5


def run(site: Site, messages: int) -> str:
    """Send them among the others, three attempts each."""
    part = messages // POISONS
    for n in range(POISONS):
        site.send(Load(part, n * part, seconds=(0, 0.02))).wait()
        site.send(Load(1, messages + n, actor="poison")).wait()
    crew = site.workers(1, threads=8)
    site.settle(timeout=90)
    starts = [len(site.notes.began.get(messages + n, ())) for n in range(POISONS)]
    return f"the {POISONS} killers were begun {min(starts)} to {max(starts)} times, {crew.starts} workers started"


DRILLS = (
    Drill(
        "poison",
        f"{POISONS} messages of three attempts that kill their worker each time, among 1,000 others; 90 s at most",
        run,
        1_000,
        beside=("dramatiq+confirms",),
    ),
)
