"""What goes wrong with the store."""

from __future__ import annotations


class StoreUnavailable(Exception):
    """The store cannot be reached, opened or used; the text says why, without values and without its password."""
