"""The broker on RabbitMQ."""

from __future__ import annotations

import logging
import os
import random
import threading
import time
import weakref
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from dramatiq.errors import BrokerConnectionError
from dramatiq.middleware import Middleware
from pika.adapters.blocking_connection import BlockingChannel
from pika.exceptions import AMQPError

from carrier.messaging.broker import GRACE, Broker
from carrier.messaging.declared import CarriedOver, Declared
from carrier.messaging.errors import BrokerUnavailable, PublishError, TopologyMismatch
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.figures import Figures, WorkerFigures
from carrier.messaging.lease import Lease, sweep
from carrier.messaging.outgoing import Outgoing
from carrier.messaging.rabbitmq import events, inspection, moving, topology
from carrier.messaging.rabbitmq.connection import Nodes
from carrier.messaging.rabbitmq.consumer import RabbitmqConsumer
from carrier.messaging.rabbitmq.feed import RabbitmqFeed
from carrier.messaging.rabbitmq.figures import figures
from carrier.messaging.rabbitmq.management import Management
from carrier.messaging.rabbitmq.outage import Outage
from carrier.messaging.rabbitmq.publication import UNCONFIRMED, publication
from carrier.messaging.rabbitmq.publisher import Publisher
from carrier.messaging.rabbitmq.registration import register
from carrier.messaging.rabbitmq.revival import revive
from carrier.messaging.rabbitmq.roster import RabbitmqRoster
from carrier.messaging.rabbitmq.walk import RabbitmqWalk

logger = logging.getLogger(__name__)

#: Seconds between two tries to store: the first and the longest pause.
_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 2.0
#: Looks in a row that find nothing, 40 ms apart, and the seconds that they take at least: a message is between two
#: delay levels, or the last one and its queue, for less than a look, but for longer on a loaded server.
_AGREEING, _AGREEING_FOR = 4, 0.4
#: Seconds that declaring may take: 28 quorum queues on a loaded server.
_DECLARING = 30.0


class RabbitmqBroker(Broker):
    """Messages on a RabbitMQ of version 3.10 or later.

    Parameters:
        urls: the nodes of one cluster.
        queue_type: "auto", "quorum" or "classic".
        home: the folder where workers of this machine note what they handle; without it their deaths do not count.
        publish_timeout: seconds that a send keeps trying.
        management_url: the management API, for what AMQP does not do: figures, policies.
    """

    def __init__(
        self,
        urls: Sequence[str],
        *,
        queue_type: str = "auto",
        home: Path | None = None,
        publish_timeout: float = 30.0,
        management_url: str | None = None,
        middleware: list[Middleware] | None = None,
        grace: float = GRACE,
    ) -> None:
        super().__init__(middleware, grace=grace)
        self.nodes = Nodes(urls)
        self.queue_type = queue_type
        self._publish_timeout = publish_timeout
        self._management_url = management_url
        self.leases = None if home is None else home / "leases-rabbitmq"
        self._reset()
        _brokers.add(self)

    def _reset(self) -> None:
        """Everything that belongs to one process."""
        self._publisher: Publisher | None = None
        self._declared: set[str] = set()
        self._levels = 0
        self._declaring = threading.Lock()
        self._making = threading.Lock()  # what is made at its first use
        self._outage = Outage(str(self.nodes))
        self._later: ThreadPoolExecutor | None = None
        self._ended = threading.Event()
        self._lease: Lease | None = None
        self._lease_tried = False
        self.consumers: set[RabbitmqConsumer] = set()

    def close(self) -> None:
        """Close the publishing connection. A broker that is used again afterwards opens a new one."""
        with self._making:
            publisher, self._publisher = self._publisher, None
            later, self._later = self._later, None
            own, self._lease, self._lease_tried = self._lease, None, False
        self._ended.set()
        if publisher is not None:
            publisher.close()
        if later is not None:
            later.shutdown(wait=True)
        if own is not None:
            own.end()
        self._ended.clear()

    @property
    def publisher(self) -> Publisher:
        """The publishing connection of this process."""
        with self._making:
            if self._publisher is None:
                self._publisher = Publisher(self.nodes, self._outage)
            return self._publisher

    @property
    def later(self) -> ThreadPoolExecutor:
        """A thread for what a consumer's own thread must not wait for."""
        with self._making:
            if self._later is None:
                self._later = ThreadPoolExecutor(1, thread_name_prefix="carrier-later")
            return self._later

    @property
    def lease(self) -> Lease | None:
        """See :meth:`Broker.lease`."""
        if self._lease_tried or self.leases is None:
            return self._lease
        with self._making:
            if not self._lease_tried:
                self._lease_tried = True
                try:
                    self._lease = Lease(self.leases)
                    sweep(self.leases)
                except OSError as error:
                    logger.warning(
                        "%s: %s: a message that kills this worker will come back for ever", self.leases, error
                    )
            return self._lease

    # Topology

    def ensure(self, queues: Iterable[str], *, levels: int = 0, limit: float = _DECLARING) -> None:
        """Declare what this process has not declared yet, so many of the delay levels too, within ``limit`` seconds.

        Raises:
            BrokerUnavailable: RabbitMQ cannot be reached.
            TopologyMismatch: a queue exists with other arguments.
        """
        if self._declared.issuperset(queues) and self._levels >= levels:
            return
        until = time.monotonic() + limit
        if not self._declaring.acquire(timeout=limit):
            raise self.nodes.unavailable(TimeoutError(f"no answer within {limit:g} s"))
        try:
            missing = set(queues) - self._declared
            if missing or self._levels < levels:
                self._declare(missing, levels, max(0.1, until - time.monotonic()))
        finally:
            self._declaring.release()

    def _declare(self, missing: set[str], levels: int, limit: float) -> None:
        connection = self.nodes.connect("topology", limit)
        try:
            connection.give_up_after(limit)
            new = topology.declare_queues(connection, missing - {FAILED_QUEUE}, self.queue_type)
            if self._levels < levels:
                new |= topology.declare_delays(connection, levels)
            if new:
                register(connection)
            self._levels = max(levels, self._levels)
            self._declared |= missing | {FAILED_QUEUE}
        except (AMQPError, OSError) as error:
            raise self.nodes.unavailable(error) from None
        finally:
            if connection.is_open:
                connection.close()

    def forget(self) -> None:
        """Something that was declared is gone: declare all of it again before the next use."""
        with self._declaring:
            self._declared.clear()
            self._levels = 0

    # The verbs

    def store(self, messages: Sequence[Outgoing], *, once: bool = False) -> None:
        """See :meth:`Broker.store`. What was refused or lost on the way is published again in time."""
        if not messages:
            return
        until = time.monotonic() + self._publish_timeout
        queues = {out.queue for out in messages}
        levels = max(topology.levels_of(out.delay) for out in messages)
        waiting = [publication(out) for out in messages]
        pause, why = _FIRST_PAUSE, UNCONFIRMED
        while True:
            try:
                self.ensure(queues, levels=levels, limit=max(0.1, until - time.monotonic()))
            except BrokerUnavailable as error:
                # What was cut short by the end of our time says less than an earlier try.
                if why == UNCONFIRMED or time.monotonic() < until:
                    why = str(error)
            except TopologyMismatch as error:
                raise PublishError(str(error)) from None
            else:
                publisher = self.publisher
                publisher.publish(waiting, until)
                waiting = [each for each in waiting if each.error is not None]
                if not waiting:
                    if FAILED_QUEUE in queues:
                        events.added(self, messages)
                    return
                if waiting[0].error != UNCONFIRMED or publisher.trouble:  # or an earlier try has said more
                    why = f"{waiting[0].error}{f' ({publisher.trouble})' if publisher.trouble else ''}"
                if any(each.unroutable for each in waiting):
                    self.forget()
            left = until - time.monotonic()
            if left <= 0 or self._ended.wait(min(pause * random.uniform(0.5, 1), left)):  # noqa: S311  (not a secret)
                raise PublishError(
                    f"RabbitMQ at {self.nodes} did not take {len(waiting)} of {len(messages)} messages: {why}"
                )
            pause = min(pause * 2, _LONGEST_PAUSE)

    def consume(self, queue_name: str, prefetch: int = 1, timeout: int = 5000) -> RabbitmqConsumer:
        """See :meth:`Broker.consume`. A worker's thread is kept here until there is a broker, or it is told to end."""
        self._known(queue_name)
        pause = _FIRST_PAUSE
        while True:
            try:
                self.ensure({queue_name})
                consumer = RabbitmqConsumer(self, queue_name, prefetch, timeout)
            except (BrokerConnectionError, TopologyMismatch) as error:
                self._outage.note("consumers", str(error))
                if not _goes_on(pause * random.uniform(0.5, 1)):  # noqa: S311  (not a secret)
                    raise BrokerUnavailable(str(error)) from None
                pause = min(pause * 2, _LONGEST_PAUSE)
            else:
                was_away = self._outage.over("consumers")
                if was_away and consumer.version < 4 and (management := self.management) is not None:
                    arguments = management, self._ended
                    threading.Thread(target=revive, args=arguments, name="carrier-revival", daemon=True).start()
                return consumer

    # Looking, and what tests need

    def walk(self, queue_name: str) -> RabbitmqWalk:
        """See :meth:`Broker.walk`."""
        return RabbitmqWalk(self, queue_name)

    def report(self, worker: WorkerFigures, *, ended: bool = False) -> None:
        """See :meth:`Broker.report`."""
        events.report(self, worker, ended)

    def roster(self) -> RabbitmqRoster:
        """See :meth:`Broker.roster`."""
        return RabbitmqRoster(self.nodes)

    def feed(self) -> RabbitmqFeed:
        """See :meth:`Broker.feed`."""
        return RabbitmqFeed(self)

    def figures(self) -> Figures:
        """See :meth:`Broker.figures`. Rates, workers and what is unacknowledged come from the management API."""
        return figures(self.nodes, self.looked_at(), self.management)

    @property
    def management(self) -> Management | None:
        """The management API, where its address is known."""
        if self._management_url is None:
            return None
        first = self.nodes.parameters[0]
        user = first.credentials.username, first.credentials.password
        return Management(self._management_url, first.virtual_host, user)

    def inspect(self) -> list[Declared]:
        """See :meth:`Broker.inspect`."""
        return inspection.inspect(self.nodes, self.looked_at(), self.queue_type, self.management)

    def apply(self) -> None:
        """See :meth:`Broker.apply`."""
        states = {each.name: each.state for each in self.inspect()}
        self.ensure([name for name in self.looked_at() if states[name] != "differs"], levels=topology.LEVELS)
        at_risk = [name for name, state in states.items() if state == "at risk"]
        if at_risk and self.management is not None:
            inspection.lift_limits(self.looked_at(), at_risk, self.management)

    def carry_over(self) -> list[CarriedOver]:
        """See :meth:`Broker.carry_over`."""
        return [each for queue in sorted(self.queues) for each in moving.carry_over(self, queue)]

    def drop(self, queues: set[str]) -> None:
        """See :meth:`Broker.drop`."""
        self.ensure(queues)
        connection = self.nodes.connect("flush")
        try:
            channel = connection.channel()
            for queue in queues:
                channel.queue_purge(queue)
            topology.drop_delayed(connection, queues)
        finally:
            connection.close()

    #: A message between two delay levels is in neither: several looks must agree.
    look_every = 0.04

    @contextmanager
    def idle(self, queue_name: str) -> Iterator[Callable[[], bool]]:
        """See :meth:`Broker.idle`. Of the messages in the delay levels RabbitMQ does not say where they go: none of
        them may be there."""
        self.ensure({queue_name})
        connection = self.nodes.connect("join")
        quiet, since = 0, 0.0

        def is_idle() -> bool:
            nonlocal quiet, since
            began = time.monotonic()
            if self._waiting(channel, queue_name) or self._delayed(channel):
                quiet = 0
                return False
            quiet += 1
            since = began if quiet == 1 else since
            return quiet >= _AGREEING and time.monotonic() - since >= _AGREEING_FOR

        try:
            channel = connection.channel()
            yield is_idle
        finally:
            connection.close()

    def counts_of(self, queue_name: str) -> tuple[int, int]:
        """See :meth:`Broker.counts_of`. What other processes handle is not counted."""
        self.ensure({queue_name})
        connection = self.nodes.connect("counts")
        try:
            channel = connection.channel()
            return self._waiting(channel, queue_name), self._delayed(channel)
        finally:
            connection.close()

    def _waiting(self, channel: BlockingChannel, queue_name: str) -> int:
        busy = sum(each.busy for each in list(self.consumers) if each.queue_name == queue_name)
        return busy + topology.ready(channel, queue_name)

    def _delayed(self, channel: BlockingChannel) -> int:
        return sum(topology.ready(channel, topology.level(number)) for number in range(self._levels))


def _goes_on(seconds: float) -> bool:
    """Wait, and say whether the calling thread is a consumer's of a worker that has not been told to end meanwhile."""
    thread = threading.current_thread()
    until = time.monotonic() + seconds
    while getattr(thread, "running", False):
        left = until - time.monotonic()
        if left <= 0:
            return True
        time.sleep(min(left, 0.1))  # Dramatiq sets a flag, and tells nobody
    return False


_brokers: weakref.WeakSet[RabbitmqBroker] = weakref.WeakSet()
#: What a forked child inherits and must neither use nor close.
_of_the_parent: list[Publisher | None] = []


def _after_fork() -> None:
    for broker in list(_brokers):
        _of_the_parent.append(broker._publisher)
        if broker._lease is not None:
            broker._lease.abandon()
        broker._reset()


os.register_at_fork(after_in_child=_after_fork)
