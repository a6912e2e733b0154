"""Acknowledges deliveries of a channel with as few frames as can be.

One frame for all up to a tag is more than faster: a quorum queue takes it as one command, where very many of them wait
in the memory of the channel and are lost with it.
"""

from __future__ import annotations

from collections.abc import Collection

from pika.adapters.blocking_connection import BlockingChannel


class Tags:
    """Which deliveries of one channel are settled; its tags count up from 1."""

    def __init__(self) -> None:
        #: All up to this one, and those of the set beyond it.
        self._floor, self._beyond = 0, set[int]()

    def settle(self, tag: int) -> None:
        """It was given back."""
        self._beyond.add(tag)

    def acknowledge(self, channel: BlockingChannel, tags: Collection[int]) -> None:
        """Acknowledge these. The tag of a frame for several must be one that the broker still waits for, so it is never
        one that was settled before (AMQP 0-9-1, basic.ack)."""
        self._beyond.update(tags)
        while self._floor + 1 in self._beyond:
            self._floor += 1
            self._beyond.discard(self._floor)
        together = [tag for tag in tags if tag <= self._floor]
        if together:
            channel.basic_ack(max(together), multiple=len(together) > 1)
        for tag in tags:
            if tag > self._floor:
                channel.basic_ack(tag)
