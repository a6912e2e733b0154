"""A connection to the file that only reads."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from typing import Any


class Reader:
    """Each call is over when it returns: no snapshot is kept that a checkpoint would wait for.

    Attributes:
        turn: held during each call.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection
        self.turn = threading.RLock()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[Any]:
        """What a query finds.

        Raises:
            sqlite3.Error: it cannot be read.
        """
        with self.turn:
            return self.connection.execute(statement, values).fetchall()

    def value(self, statement: str, values: Sequence[Any] = ()) -> Any:
        """The first value of the first row that a query finds. Raises as :meth:`rows`."""
        return self.rows(statement, values)[0][0]

    def close(self) -> None:
        """Close the connection."""
        with self.turn:
            self.connection.close()
