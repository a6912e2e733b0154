"""The broker lives and takes nothing: a full queue, an alarm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from tests.drills import QUEUE
from tests.drills.drill import RABBITMQ, Drill
from tests.drills.load import Load
from tests.drills.site import STOCK, Site
from tests.waiting import wait_until

#: Seconds for which it refuses, and for which is sent: the outage lies in the middle.
_OUTAGE, _SENDING = 10.0, 20.0
Refusal = Callable[[Site], AbstractContextManager[None]]


def _during(refusal: Refusal) -> Callable[[Site, int], str]:
    """A drill in which every tenth message fails twice, its retry refused or its way into failed_queue."""

    def run(site: Site, messages: int) -> str:
        failing = messages // 10
        site.workers(1, threads=8)
        senders = [
            site.send(Load(messages - failing, pace=(messages - failing) / _SENDING)),
            site.send(Load(failing, messages, "fail", pace=failing / _SENDING)),
        ]
        wait_until(lambda: site.notes.read().done, "the first is done")
        with refusal(site):
            site.load_for(_OUTAGE)
        for sender in senders:
            sender.wait(120)
        site.settle()
        return f"{failing} fail twice; {site.raised()}"

    return run


def _full(carrier: str, stock: str) -> Refusal:
    @contextmanager
    def full(site: Site) -> Iterator[None]:
        site.rabbitmq.refuse(carrier if site.system == "carrier" else stock)
        try:
            yield
        finally:
            site.rabbitmq.allow()

    return full


@contextmanager
def _memory_alarm(site: Site) -> Iterator[None]:
    site.node.ctl("set_vm_memory_high_watermark", "absolute", "1")
    try:
        yield
    finally:
        site.node.ctl("set_vm_memory_high_watermark", "0.4")


@contextmanager
def _disk_alarm(site: Site) -> Iterator[None]:
    site.node.ctl("set_disk_free_limit", "1000000GB")
    try:
        yield
    finally:
        site.node.ctl("set_disk_free_limit", "50MB")


def _drill(name: str, what: str, refusal: Refusal) -> Drill:
    what = f"{what} for {_OUTAGE:.0f} s, while every tenth message fails for good at its second attempt"
    return Drill(name, what, _during(refusal), 1_000, RABBITMQ, beside=STOCK)


DRILLS = (
    _drill("retry-refused", "the queues for retries refuse", _full(r"^carrier\.delay\.", rf"^{QUEUE}\.DQ$")),
    _drill("failure-refused", "the queue for failed messages refuses", _full("^failed_queue$", rf"^{QUEUE}\.XQ$")),
    _drill("memory-alarm", "RabbitMQ has a memory alarm", _memory_alarm),
    _drill("disk-alarm", "RabbitMQ has a disk alarm", _disk_alarm),
)
