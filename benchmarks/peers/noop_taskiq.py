"""Taskiq, whose sends are confirmed, and which acknowledges after the work."""

from __future__ import annotations

import asyncio
import os

from taskiq_aio_pika import AioPikaBroker

from benchmarks.peers.sending import main
from benchmarks.peers.slots import TEXT, begun

broker = AioPikaBroker(os.environ["RABBITMQ_URL"])


@broker.task(task_name="noop")
async def noop(n: int, text: str) -> None:
    """Nothing."""
    begun(n)


async def _gather(numbers: range) -> None:
    await asyncio.gather(*(noop.kiq(n, TEXT) for n in numbers))


if __name__ == "__main__":
    with asyncio.Runner() as runner:
        runner.run(broker.startup())
        main(lambda n: runner.run(noop.kiq(n, TEXT)), lambda numbers: runner.run(_gather(numbers)))
        runner.run(broker.shutdown())
