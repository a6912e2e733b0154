"""The broker dies and comes back, again and again, under senders and workers."""

from __future__ import annotations

from tests.drills.drill import RABBITMQ, Drill
from tests.drills.load import Load
from tests.drills.site import STOCK, Site

SENDERS = 4
#: Seconds of sending, the outages not counted.
_SENDING = 40.0


def run(site: Site, messages: int) -> str:
    """Kill it 2 to 5 s after it came back, as long as there are senders."""
    site.workers(2)
    each = messages // SENDERS
    senders = [site.send(Load(each, n * each, pace=each / _SENDING)) for n in range(SENDERS)]
    kills = 0
    while any(sender.running for sender in senders):
        site.load_for(site.chance.uniform(2, 5), lambda: not any(sender.running for sender in senders))
        site.node.kill()
        kills += 1
        site.node.start()
        site.node.wait()
    site.settle()
    return f"{kills} kills of the broker, {site.raised()}"


DRILLS = (
    Drill(
        "broker-killed",
        "RabbitMQ killed (-9) 2 to 5 s after it came back, again and again, under 4 senders and 2 workers",
        run,
        20_000,
        RABBITMQ,
        beside=STOCK,
    ),
)
