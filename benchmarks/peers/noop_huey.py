"""Huey on SQLite, which writes each message to the disk before its send returns."""

from __future__ import annotations

import os

from huey import SqliteHuey

from benchmarks.peers.sending import main
from benchmarks.peers.slots import TEXT, begun

huey = SqliteHuey("noop", filename=f"{os.environ['CARRIER_HOME']}/huey.db", fsync=True, results=False)


@huey.task()
def noop(n: int, text: str) -> None:
    """Nothing."""
    begun(n)


if __name__ == "__main__":
    from benchmarks.peers import noop_huey  # a task is known by its module's name, which is not that of a program

    main(lambda n: noop_huey.noop(n, TEXT))
