"""The pages, by their paths."""

from __future__ import annotations

from carrier.monitor.console.app import Page
from carrier.monitor.console.pages import (
    audit,
    backups,
    deliveries,
    failed,
    login,
    message,
    overview,
    schedules,
    workers,
)

#: Path, methods, and what answers.
PAGES: list[tuple[str, list[str], Page]] = [
    ("/", ["GET"], overview.page),
    ("/failed", ["GET"], failed.page),
    ("/failed/do", ["POST"], failed.do),
    ("/failed/stop", ["POST"], failed.stop),
    ("/failed/message", ["GET"], message.page),
    ("/failed/edit", ["GET"], message.edit),
    ("/failed/edit", ["POST"], message.send),
    ("/workers", ["GET"], workers.page),
    ("/schedules", ["GET"], schedules.page),
    ("/schedules/do", ["POST"], schedules.do),
    ("/backups", ["GET"], backups.page),
    ("/deliveries", ["GET"], deliveries.page),
    ("/audit", ["GET"], audit.page),
    ("/login", ["GET"], login.page),
    ("/login", ["POST"], login.enter),
    ("/logout", ["POST"], login.leave),
    ("/healthz", ["GET"], overview.health),
]
