"""Notifications: into the user's in-app inbox, and by e-mail to a configured recipient."""

from __future__ import annotations

from actors.notification.actor import send_notification

__all__ = ["send_notification"]
