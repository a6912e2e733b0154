"""The network between programs and broker breaks in every way that TCP knows."""

from __future__ import annotations

from collections import Counter

from tests.drills.drill import RABBITMQ, Drill
from tests.drills.load import Load
from tests.drills.site import Site
from tests.servers.ports import HOST
from tests.servers.proxy import Proxy

SENDERS = 4
_SENDING = 60.0
#: Seconds of AMQP's heartbeat, and of a silence: a peer gives up after two heartbeats.
_HEARTBEAT, _SILENCE = 2, 7.0
FAULTS = ("drop", "tear up", "tear down", "half-close up", "half-close down", "delay", "silence")


def run(site: Site, messages: int) -> str:
    """One fault after another, a second apart, as long as there are senders."""
    proxy = Proxy(site.node.amqp)
    site.environment["RABBITMQ_URL"] = (
        f"amqp://guest:guest@{HOST}:{proxy.port}/{site.rabbitmq.vhost}?heartbeat={_HEARTBEAT}"
    )
    site.workers(2)
    each = messages // SENDERS
    senders = [site.send(Load(each, n * each, pace=each / _SENDING)) for n in range(SENDERS)]
    faults = Counter[str]()

    def over() -> bool:
        return not any(sender.running for sender in senders)

    while not over():
        site.load_for(site.chance.uniform(0.5, 1.5), over)
        fault = FAULTS[faults.total() % len(FAULTS)]
        faults[fault] += 1
        _harm(site, proxy, fault)
    site.settle()
    proxy.close()
    return f"{faults.total()} faults ({', '.join(FAULTS)}), {site.raised()}"


def _harm(site: Site, proxy: Proxy, fault: str) -> None:
    match fault.split():
        case ["drop"]:
            proxy.drop()
        case ["tear", ("up" | "down") as direction]:
            proxy.tear(direction)
        case ["half-close", ("up" | "down") as direction]:
            proxy.half_close(direction)
        case ["delay"]:
            proxy.delay = 0.2
            site.load_for(2)
            proxy.delay = 0
        case ["silence"]:
            proxy.silence()
            site.load_for(_SILENCE)
            proxy.speak()


DRILLS = (
    Drill(
        "bad-network",
        "connections dropped, torn in the middle of a publish and of an acknowledgement, half closed, slow, and silent"
        " for longer than two heartbeats, one after another under 4 senders and 2 workers",
        run,
        4_000,
        RABBITMQ,
    ),
)
