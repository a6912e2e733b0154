"""Cleanup: old files under the folders of a policy."""

from __future__ import annotations

from actors.cleanup.actor import send_cleanup

__all__ = ["send_cleanup"]
