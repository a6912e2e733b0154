"""Backups of databases, whole or not at all."""

from __future__ import annotations

from actors.backup.actor import send_backup

__all__ = ["send_backup"]
