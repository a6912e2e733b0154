"""Acknowledges deliveries of a channel with as few frames as can be.

One frame for all up to a tag is more than faster: a quorum queue takes it as one command, where very many of them wait
in the memory of the channel and are lost with it.
"""

from __future__ import annotations

from collections.abc import Collection

from pika.adapters.blocking_connection import BlockingChannel
from pika.channel import Channel


class Tags:
    """Which deliveries of one channel are settled; its tags count up from 1."""

    def __init__(self) -> None:
        #: All up to this one, and those of the set beyond it.
        self._floor, self._beyond = 0, set[int]()
        #: Those of them that the server is still to be told of.
        self._untold: list[int] = []

    def settle(self, tag: int) -> None:
        """It was given back."""
        self._beyond.add(tag)

    def acknowledge(self, channel: Channel | BlockingChannel, tags: Collection[int], *, keep: int = 0) -> None:
        """Acknowledge these. The tag of a frame for several must be one that the broker still waits for, so it is never
        one that was settled before (AMQP 0-9-1, basic.ack).

        Parameters:
            keep: how many may wait for the next call, because one before them is not settled: by then it may be, and
                one frame is for all of them.
        """
        self._beyond.update(tags)
        while self._floor + 1 in self._beyond:
            self._floor += 1
            self._beyond.discard(self._floor)
        untold = [*self._untold, *tags]
        together = [tag for tag in untold if tag <= self._floor]
        alone = [tag for tag in untold if tag > self._floor]
        self._untold = alone if len(alone) <= keep else []
        if together:
            channel.basic_ack(max(together), multiple=len(together) > 1)
        if not self._untold:
            for tag in alone:
                channel.basic_ack(tag)
