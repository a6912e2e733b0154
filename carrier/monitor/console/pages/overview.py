"""How it goes, at a glance."""

from __future__ import annotations

from typing import Any

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from carrier.monitor.console.app import Console

#: Groups that are shown.
_GROUPS = 5


def page(request: Request, console: Console) -> Response:
    """Figures, queues, what fails."""
    return console.page(request, "overview.html", **_values(console))


def health(request: Request, console: Console) -> Response:
    """Whether the broker can be looked at, for whoever watches processes."""
    console.sampling.latest()
    if console.sampling.trouble is not None or console.sampling.figures is None:
        return PlainTextResponse("the broker cannot be looked at\n", 503)
    return PlainTextResponse("ok\n")


def _values(console: Console) -> dict[str, Any]:
    console.sampling.latest()
    figures, groups = console.sampling.figures, console.index.groups()
    return {
        "figures": figures,
        "pace": console.sampling.pace,
        "rates": any(each.publish_rate is not None for each in figures.queues) if figures else False,
        "samples": console.sampling.samples(),
        "groups": groups[:_GROUPS],
        "more": len(groups) - _GROUPS,
        "is_whole": console.index.is_whole,
    }
