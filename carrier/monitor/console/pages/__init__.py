"""The pages, by their paths."""

from __future__ import annotations

from carrier.monitor.console.app import Page
from carrier.monitor.console.pages import audit, failed, login, message, overview

#: Path, methods, and what answers.
PAGES: list[tuple[str, list[str], Page]] = [
    ("/", ["GET"], overview.page),
    ("/overview/live", ["GET"], overview.live),
    ("/failed", ["GET"], failed.page),
    ("/failed/live", ["GET"], failed.live),
    ("/failed/do", ["POST"], failed.do),
    ("/failed/stop", ["POST"], failed.stop),
    ("/failed/message", ["GET"], message.page),
    ("/failed/edit", ["GET"], message.edit),
    ("/failed/edit", ["POST"], message.send),
    ("/audit", ["GET"], audit.page),
    ("/login", ["GET"], login.page),
    ("/login", ["POST"], login.enter),
    ("/logout", ["POST"], login.leave),
    ("/healthz", ["GET"], overview.health),
]
