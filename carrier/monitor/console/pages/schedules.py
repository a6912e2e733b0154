"""What fires when, what became of it, and what people do about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from carrier.configuration import current_settings
from carrier.monitor.console import rooms
from carrier.monitor.console.app import Console
from carrier.monitor.console.forms import Refused, read_order
from carrier.store import audit, fires
from settings import Settings, SettingsError

#: Fire times that are shown of one schedule: those that come, and those that were.
_COMING, _GONE = 5, 50


def page(request: Request, console: Console) -> Response:
    """All schedules, or one of them with its fire times."""
    settings, name = current_settings(), request.query_params.get("name", "")
    try:
        seen = rooms.scheduler("overview").overview(settings.schedules)
    except SettingsError as error:
        raise Refused(500, str(error)) from None
    one = next((each for each in seen.schedules if each.name == name), None)
    return console.page(
        request,
        "schedules.html",
        200 if one or not name else 404,
        leader=seen.leader,
        schedules=seen.schedules,
        name=name,
        one=one,
        coming=_coming(one, settings) if one else [],
        gone=[rooms.scheduler("overview").fire_fields(each) for each in fires.of(one.name, _GONE)] if one else [],
    )


def do(request: Request, console: Console) -> Response:
    """Have one fire now, fire no more, or fire again."""
    form = read_order(request)
    name, what, settings = form.one("name"), form.one("do"), current_settings()
    schedule, by_hand = settings.schedules.get(name), rooms.scheduler("by_hand")
    if schedule is None or what not in ("run", "pause", "resume"):
        raise Refused(404, "there is no such schedule, or nothing to do is named")
    audited = audit.record(request.state.session.who, f"schedule {what}", name)
    if what == "run":
        rooms.scheduler("message").checked(name, schedule, console.broker, where=str(settings.carrier_config))
        outcome = f"sent {by_hand.run(name, schedule, console.broker)}"
    elif what == "pause":
        by_hand.pause(name, schedule)
        outcome = "paused"
    else:
        outcome = "goes on" if by_hand.resume(name) else "was not paused"
    audit.complete(audited, outcome)
    return RedirectResponse(f"/schedules?{urlencode({'name': name})}" if form.one("stay") else "/schedules", 303)


def _coming(view: Any, settings: Settings) -> list[datetime]:
    if view.state != "on":
        return []
    overview = rooms.scheduler("overview")
    timing = overview.timing_in(view.name, settings.schedules[view.name])
    found: list[datetime] = overview.upcoming(timing, datetime.now(UTC), _COMING)
    return found
