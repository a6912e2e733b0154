"""The store on a PostgreSQL, which several machines share."""

from __future__ import annotations

import re
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, text

#: The options of a transaction that only reads.
READING: dict[str, Any] = {}
#: Seconds to wait for a connection.
_CONNECTING = 10
#: Milliseconds. Whoever is frozen in the middle of a transaction must not keep the others waiting.
_LIMITS = {
    "lock_timeout": 10_000,
    "statement_timeout": 30_000,
    "idle_in_transaction_session_timeout": 10_000,
}
#: A server that has vanished is noticed after so many seconds, and milliseconds where something was sent.
_KEEPALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3, "tcp_user_timeout": 30_000}
#: Of the advisory lock that migrations take.
_MIGRATING = 0xCA221E2
#: Milliseconds to wait for others who migrate.
_TURN = 120_000


def engine(url: str) -> Engine:
    """An engine on the database of ``url``, which is as libpq has it."""
    options = " ".join(f"-c {name}={value}" for name, value in _LIMITS.items())
    return create_engine(
        re.sub(r"^postgres(ql)?:", "postgresql+psycopg:", url),
        connect_args={
            "connect_timeout": _CONNECTING,
            "application_name": "carrier",
            "options": options,
            **_KEEPALIVE,
        },
        hide_parameters=True,
        pool_pre_ping=True,  # a server that was restarted has closed what is in the pool
    )


def take_turns(connection: Connection) -> None:
    """Wait until nobody else migrates; others wait until this transaction is over."""
    connection.execute(text(f"SET LOCAL lock_timeout = {_TURN}; SET LOCAL statement_timeout = {_TURN}"))
    connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATING})
