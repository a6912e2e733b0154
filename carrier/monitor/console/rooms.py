"""What stands on this room is called by its name: the arrows between rooms go the other way."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def scheduler(module: str) -> Any:
    """A module of the scheduler's room."""
    return import_module(f"scheduler.{module}")


def actors(module: str) -> Any:
    """A module of the actors' room."""
    return import_module(f"actors.{module}")
