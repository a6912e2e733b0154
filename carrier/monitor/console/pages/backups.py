"""What is stored, how whole it is, and what is being made."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from carrier.configuration import current_settings
from carrier.monitor.console import rooms
from carrier.monitor.console.app import Console

#: Backups that are shown.
_SHOWN = 200


def page(request: Request, console: Console) -> Response:
    """The newest first."""
    console.sampling.latest()
    settings, figures = current_settings(), console.sampling.figures
    found = rooms.actors("backup.verify").backups(settings)[::-1]
    known = {each.manifest.database for each in found}
    return console.page(
        request,
        "backups.html",
        backups=found[:_SHOWN],
        number=len(found),
        missing=[name for name in sorted(settings.config.databases) if name not in known],
        root=settings.backups,
        work=[each for each in figures.work if "database" in each] if figures else [],
    )
