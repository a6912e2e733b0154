"""What a drill is, and one run of it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.drills.site import BROKERS, EMBEDDED, Site

RABBITMQ = tuple(broker for broker in BROKERS if broker != EMBEDDED)


@dataclass(frozen=True)
class Drill:
    """One kind of harm.

    Attributes:
        name: for the command line.
        what: what happens, as the report says it.
        run: does the harm and waits for its end; returns what is to be said beside the counts.
        messages: how many, unless the command line says it.
        brokers: where it takes place.
        beside: which of STOCK are put through the same.
        config: settings of RabbitMQ.
        use_management: whether Carrier is told of the management API.
    """

    name: str
    what: str
    run: Callable[[Site, int], str]
    messages: int
    brokers: tuple[str, ...] = BROKERS
    beside: tuple[str, ...] = ()
    config: Mapping[str, int] = field(default_factory=dict)
    use_management: bool = True


@dataclass(frozen=True)
class Row:
    """What one drill came to on one broker."""

    drill: str
    broker: str
    system: str
    sent: int
    done: int
    failed: int
    waiting: int
    lost: int
    twice: int
    pause: float
    note: str

    def line(self) -> str:
        """For the terminal."""
        return (
            f"{self.drill:20} {self.broker:13} {self.system:17} sent {self.sent}  done {self.done}"
            f"  failed {self.failed}  waiting {self.waiting}  lost {self.lost}  twice {self.twice}"
            f"  longest pause {self.pause:.1f} s  {self.note}"
        )


def run(drill: Drill, broker: str, system: str, messages: int | None) -> Row:
    """Run it once. Its folder is kept where a message is not accounted for."""
    folder = Path(tempfile.mkdtemp(prefix=f"carrier-drill-{drill.name}-"))
    site = Site(broker, system, folder, drill.config, use_management=drill.use_management)
    kept = True
    try:
        note = drill.run(site, messages or drill.messages)
        tally = site.tally()
        kept = system == "carrier" and bool(tally.lost or tally.waiting)
    finally:
        site.close()
        if kept:
            print(f"what it left: {folder}", flush=True)
        else:
            shutil.rmtree(folder)
    return Row(
        drill=drill.name,
        broker=broker,
        system=system,
        sent=len(tally.sent),
        done=len(tally.done),
        failed=len(tally.failed),
        waiting=len(tally.waiting),
        lost=len(tally.lost),
        twice=tally.twice,
        pause=tally.pause,
        note=note,
    )
