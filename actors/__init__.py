"""What is done with a message: one package a type. Importing this makes the broker and registers the four.

Senders import this module, so it stays light: what only handling needs is imported by the handlers, on use.
"""

# The broker must be there before an actor is declared: the imports below come late.
# ruff: noqa: E402

from __future__ import annotations

import dramatiq

import carrier

broker = carrier.connect()
dramatiq.set_broker(broker)

from actors.backup import send_backup
from actors.cleanup import send_cleanup
from actors.email import send_email
from actors.notification import send_notification

__all__ = ["broker", "send_backup", "send_cleanup", "send_email", "send_notification"]
