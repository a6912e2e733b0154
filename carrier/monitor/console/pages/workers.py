"""Who works, on what, and who is lost."""

from __future__ import annotations

import time
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from carrier.monitor.console.app import Console


def page(request: Request, console: Console) -> Response:
    """Those that are there, and those that are lost."""
    console.sampling.latest()
    workers = console.sampling.workers
    return console.page(
        request,
        "workers.html",
        living=workers.living,
        lost=workers.lost,
        threads=sum(each.threads or 0 for each in workers.living),  # one that has just begun has not told yet
        now=time.time(),
        moment=_moment,
    )


def _moment(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)
