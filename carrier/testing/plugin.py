"""The pytest fixture ``inbox``, for ``pytest_plugins``."""

from __future__ import annotations

from collections.abc import Iterator

import dramatiq.broker
import pytest

from carrier.messaging.application import load
from carrier.messaging.broker import Broker
from carrier.testing.inbox import Inbox


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    """Takes what is sent during the test over Dramatiq's global broker, or else over that of CARRIER_ACTORS."""
    broker = dramatiq.broker.global_broker
    with Inbox(broker if isinstance(broker, Broker) else load()) as taking:
        yield taking
