"""Every page that the console has, by name."""

from __future__ import annotations

import re

from tests.console.browser import Client

#: Those that are always there; the paths of the others hold what is in the scene.
PAGES = {
    "overview": "/",
    "failed": "/failed",
    "nothing-found": "/failed?text=nothing+is+like+that",
    "workers": "/workers",
    "schedules": "/schedules",
    "schedule": "/schedules?name=nightly-backup",
    "backups": "/backups",
    "deliveries": "/deliveries",
    "audit": "/audit",
}


def pages(client: Client) -> dict[str, str]:
    """The paths, with those of a cause, of a message and of its draft."""
    found = client.get("/failed").text
    group = re.search(r'href="(/failed\?group=[^"]+)"', found)
    key = re.search(r'href="/failed/message\?key=([^"]+)"', found)
    assert group is not None
    assert key is not None
    return {
        **PAGES,
        "cause": group[1],
        "message": f"/failed/message?key={key[1]}",
        "edit": f"/failed/edit?key={key[1]}",
    }
