"""What limits Carrier: how many cores its program and RabbitMQ take, and where the program holds the interpreter."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import nullcontext

from benchmarks import system
from benchmarks.cores import Cores
from benchmarks.place import Place, node, place
from benchmarks.profile import Profile
from tests.servers.process import Process
from tests.servers.rabbitmq import RabbitmqNode

#: Messages, which are more than are handled while somebody looks; seconds after which and for which somebody does.
_MESSAGES, _MOST, _AFTER, _FOR = 300_000, 900_000, 2.0, 5
_PLACES = 10

_Starting = Callable[[Place], Process]


def run(rounds: int, versions: list[str]) -> str:
    """Markdown; each is looked at once."""
    lines = [
        f"In {_FOR} seconds in the middle of each: the cores that the program took, with all of its processes, and",
        f"those of RabbitMQ; then, in {_FOR} more, where the program held the interpreter, as py-spy saw it: modules",
        "of `carrier/messaging`, Dramatiq, pika, and what is none of these.",
        "",
        "| | where | program | RabbitMQ | where the program was |",
        "|---|---|---|---|---|",
    ]
    for version in [*versions, None]:
        with node(version) if version else nullcontext() as server:
            for what, start in _WHAT.items():
                found = _look(start, server)
                print(f"profile          {version or 'embedded':14} {what:28} {found}", flush=True)
                lines.append(f"| {what} | {f'RabbitMQ {version}' if version else 'embedded'} | {found} |")
    return "\n".join(lines)


def _look(start: _Starting, server: RabbitmqNode | None) -> str:
    with place(system.carrier(on_rabbitmq=server is not None), server, _MOST) as here:
        program = start(here)
        time.sleep(_AFTER)  # it is in the middle of it then
        cores = [Cores(program.folders), *([Cores(server.folders)] if server else [])]
        time.sleep(_FOR)  # the time is what is measured
        taken = [f"{each.taken():.2f}" for each in cores]
        # After that: py-spy stops the program each time that it looks.
        shares = ", ".join(f"{share:.0%} {room}" for room, share in Profile(program.pid, _FOR).shares()[:_PLACES])
    return f"{' | '.join(taken)}{'' if server else ' | '} | {shares}"


def _sends(how: str, number: int = _MESSAGES) -> _Starting:
    return lambda here: here.start(*here.system.sender, how, str(number))


def _drains(processes: int) -> _Starting:
    def start(here: Place) -> Process:
        here.send("fill", str(_MESSAGES))
        return here.start(*system.carrier_worker(processes))

    return start


_WHAT: dict[str, _Starting] = {
    "send_many of 50,000": _sends("fill", _MOST),
    "16 threads call send": _sends("threads"),
    "one thread calls send": _sends("one"),
    "a drain, 1 process": _drains(1),
    "a drain, 2 processes": _drains(2),
}
