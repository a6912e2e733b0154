"""E-mail: by SMTP, or into a folder of .eml files while no SMTP_URL is set."""

from __future__ import annotations

from actors.email.actor import send_email

__all__ = ["send_email"]
