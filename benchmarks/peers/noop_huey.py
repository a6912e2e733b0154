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
    main(lambda n: noop(n, TEXT))
