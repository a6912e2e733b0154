"""The pytest fixture ``inbox``, for ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator

import dramatiq.broker
import pytest

from carrier.messaging.application import ApplicationError, load
from carrier.messaging.broker import Broker
from carrier.testing.inbox import Inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """Takes what is sent during the test over Dramatiq's global broker, or else over that of CARRIER_ACTORS."""
    broker = dramatiq.broker.global_broker
    if broker is None:
        broker = load()
    if not isinstance(broker, Broker):
        raise ApplicationError(
            f"Dramatiq's broker is {type(broker).__module__}.{type(broker).__name__}, not Carrier's: "
            "call dramatiq.set_broker(carrier.connect()) before the actors are declared"
        )
    with Inbox(broker) as taking:
        yield taking
