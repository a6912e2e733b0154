"""The rows of the speed table: which there are, and how they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from benchmarks import drains, encoding, fairness, latency, sends, workers
from benchmarks.place import node
from benchmarks.row import Goal, Row
from tests.servers.rabbitmq import RabbitmqNode

ON_RABBITMQ: dict[str, Callable[[int, RabbitmqNode, str], list[Row]]] = {
    "send-many": sends.many,
    "send-threads": sends.threads,
    "send-one": sends.one,
    "drain": drains.one,
    "drain-two": drains.two,
    "fairness": fairness.run,
    "latency": latency.run,
    "worker": workers.run,
}
ALONE: dict[str, Callable[[int], list[Row]]] = {
    "embedded-send": sends.embedded,
    "embedded-drain": drains.embedded,
    "embedded-wake": latency.embedded,
    "envelope": encoding.run,
    "help": encoding.commands,
}


def measure(names: list[str], rounds: int, versions: list[str]) -> Iterator[Row]:
    """The rows of these names, each on these versions of RabbitMQ where it runs there."""
    on_rabbitmq = [name for name in names if name in ON_RABBITMQ]
    for version in versions if on_rabbitmq else []:
        with node(version) as server:
            for name in on_rabbitmq:
                yield from ON_RABBITMQ[name](rounds, server, f"RabbitMQ {version}")
    for name in names:
        if name in ALONE:
            yield from ALONE[name](rounds)


def markdown(rows: list[Row]) -> str:
    """A table, one line a goal."""
    lines = ["| what | where | Carrier | beside | found | at least or most | |", "|---|---|---|---|---|---|---|"]
    for row in rows:
        for goal in row.goals:
            figure, is_reached = row.found(goal)
            beside = f"{goal.beside} {_rounds(row, goal.beside)}" if goal.beside else ""
            own = f"{_rounds(row, goal.system)} {row.unit}"
            mark = "" if is_reached else "**not reached**"
            lines.append(
                f"| {row.what} | {row.where} | {own} | {beside} | {_shown(goal, figure, row.unit)} "
                f"| {_wanted(goal, row.unit)} | {mark} |"
            )
    return "\n".join(lines)


def reasons(rows: list[Row]) -> str:
    """What rows say of goals that they do not reach, as a list."""
    missed = [row for row in rows if not all(row.found(goal)[1] for goal in row.goals)]
    return "\n".join(f"- {row.what}, {row.where}: {remark}" for row in missed for remark in row.remarks)


def _rounds(row: Row, system: str) -> str:
    """The median, and between what the rounds were."""
    found = row.figures[system]
    return f"{_number(row.median(system))} ({_number(min(found))} to {_number(max(found))})"


def _shown(goal: Goal, figure: float, unit: str) -> str:
    return {"times": f"{figure:.2f}", "plus": f"{figure:+.2f} {unit}", "absolute": ""}[goal.kind]


def _wanted(goal: Goal, unit: str) -> str:
    limit = {"times": f"{goal.limit:g} times", "plus": f"{goal.limit:+g} {unit}", "absolute": f"{goal.limit:g} {unit}"}
    return f"{'≤' if goal.is_most else '≥'} {limit[goal.kind]}"


def _number(figure: float) -> str:
    return f"{figure:,.0f}" if figure >= 100 else f"{figure:.3g}"
