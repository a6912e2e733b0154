"""The application's own modules: its settings, and the module that declares its actors."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import dramatiq

from carrier.messaging.broker import Broker
from carrier.messaging.errors import CarrierError
from settings import get_settings


class ApplicationError(CarrierError):
    """The module with the actors cannot be used; the text says why."""


def load() -> Broker:
    """Import the module of CARRIER_ACTORS, from the current folder too, and return the broker that it has set.

    Raises:
        ApplicationError: there is no such module, or its broker is not Carrier's.
    """
    name = get_settings().carrier_actors
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.insert(0, here)
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ApplicationError(
            f"CARRIER_ACTORS: there is no module {name!r} here; name the one with your actors"
        ) from None
    broker = dramatiq.get_broker()
    if not isinstance(broker, Broker):
        raise ApplicationError(
            f"module {name!r} has not set Carrier's broker: call dramatiq.set_broker(carrier.connect()) at its start"
        )
    return broker
