"""What replication costs: the same messages in a classic queue, in a quorum queue, and in one on three nodes."""

from __future__ import annotations

import statistics
from contextlib import ExitStack

from benchmarks import drains, sends, system
from benchmarks.cores import Cores
from benchmarks.place import node
from tests.servers.rabbitmq import RabbitmqNode

_BACKLOG = 30_000
_TEXT = """
All nodes of this run share one machine, so that three of them have the processors of one: what counts is RabbitMQ's
work for each message (sent, stored, taken and acknowledged), which is what more machines have to do, too.

**How many nodes.** One is enough as long as its disk may be trusted: what was confirmed is on it, and is there again
after a crash. Three keep working while one is away; five, while two are. Each more is one more copy of each message to
be written, so that more nodes make a queue safer and not faster. Carrier takes quorum queues by itself from RabbitMQ 4
on (`QUEUE_TYPE` says otherwise), and `RABBITMQ_URL` takes several nodes with commas.

**More workers** are what to add first: handlers that do something take more time than messages do, and worker processes
on any number of machines share a queue as they come. While one has nothing to do for a queue that is not empty, the
queue is the limit, and not the workers.

**When to shard a queue.** A queue is worked on by one process of Erlang, on one core of one node, whatever the size of
the cluster. Below the rates of this table one queue is enough; above them, or when `carrier status` shows one growing
while its workers rest, give types of messages queues of their own (`queue=` of an actor). Each queue has a leader of
its own, on the node that whoever declared it was connected to, or spread with `queue_leader_locator = balanced` in
rabbitmq.conf (https://www.rabbitmq.com/docs/clustering#leader-placement); what that brings cannot be measured on one
machine. The messages of one type over several queues are several types to Carrier: their actors may share one function.
"""


def run(rounds: int, versions: list[str]) -> str:
    """Markdown, on the last version."""
    version = versions[-1]
    lines = [
        f"RabbitMQ {version}, medians of {rounds} rounds.",
        "",
        "| | send_many of 10,000 | one thread sends | drained by 1 process | RabbitMQ's work for each message |",
        "|---|---|---|---|---|",
    ]
    for what, queue_type, more in (
        ("classic", "classic", 0),
        ("quorum", "quorum", 0),
        ("quorum, 3 nodes", "quorum", 2),
    ):
        with ExitStack() as stack:
            first = stack.enter_context(node(version))
            nodes = [first, *(stack.enter_context(node(version, beside=first)) for _ in range(more))]
            found = [_round(nodes, queue_type) for _ in range(rounds)]
            cells = [statistics.median(column) for column in zip(*found, strict=True)]
            cell = "{:,.0f}/s | {:,.0f}/s | {:,.0f}/s | {:.0f} µs".format(*cells)
            print(f"cluster          {what:20} {cell}", flush=True)
            lines.append(f"| {what} | {cell} |")
    return "\n".join([*lines, _TEXT])


def _round(nodes: list[RabbitmqNode], queue_type: str) -> tuple[float, float, float, float]:
    own, server = system.carrier(on_rabbitmq=True), nodes[0]
    many = sends.rate(own, server, "many", 10_000, QUEUE_TYPE=queue_type)
    one = sends.rate(own, server, "one", 1_000, QUEUE_TYPE=queue_type)
    cores = [Cores(each.folders) for each in nodes]
    drained = drains.rate(own, server, own.worker, backlog=_BACKLOG, QUEUE_TYPE=queue_type)
    return many, one, drained, 1e6 * sum(each.seconds() for each in cores) / _BACKLOG
