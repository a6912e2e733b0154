"""What one benchmark has found: the figures of each system, and whether what was to be reached is."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, field
from typing import Literal

#: How a figure is held against that of another system, or against none.
Kind = Literal["times", "plus", "absolute"]


@dataclass(frozen=True)
class Goal:
    """What a system's median is to be.

    Attributes:
        system: whose.
        limit: what it is held against: ``limit`` times the other's, the other's plus ``limit``, or ``limit``.
        beside: the other.
        is_most: it is to be no more than that; otherwise no less.
    """

    system: str
    limit: float
    beside: str = ""
    kind: Kind = "times"
    is_most: bool = False


@dataclass
class Row:
    """One line of the table.

    Attributes:
        name: what bin/bench calls it.
        where: "RabbitMQ 3.10", "embedded" or nothing.
        figures: of each system, round by round.
        remarks: what is said where a goal is not reached.
    """

    name: str
    what: str
    where: str
    unit: str
    goals: list[Goal] = field(default_factory=list)
    figures: dict[str, list[float]] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)

    def note(self, system: str, figure: float) -> None:
        """One more round."""
        self.figures.setdefault(system, []).append(figure)
        print(f"{self.name:14} {self.where:13} {self.what:52} {system:28} {figure:12,.3f} {self.unit}", flush=True)

    def median(self, system: str) -> float:
        """Of a system's rounds."""
        return statistics.median(self.figures[system])

    def found(self, goal: Goal) -> tuple[float, bool]:
        """The ratio, the difference or the figure that a goal is about, and whether it is reached."""
        own = self.median(goal.system)
        if goal.kind == "times":
            own /= self.median(goal.beside)
        elif goal.kind == "plus":
            own -= self.median(goal.beside)
        return own, own <= goal.limit if goal.is_most else own >= goal.limit
