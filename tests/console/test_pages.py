"""Each page, light, dark and narrow: it can be used without a mouse or good eyes, and nothing is cut off."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.console.browser import Client
from tests.console.chromium import watched
from tests.console.pages import pages
from tests.console.pictures import LOOKS
from tests.console.scene import scene


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A console with something on each page."""
    with scene(tmp_path_factory.mktemp("scene")) as made:
        yield made


def test_nobody_is_kept_out_and_nothing_is_cut_off(chromium: Browser, client: Client) -> None:
    for look, (width, height, scheme) in LOOKS.items():
        with watched(chromium, viewport={"width": width, "height": height}, color_scheme=scheme) as page:
            for name, path in pages(client).items():
                page.goto(f"http://127.0.0.1:{client.port}{path}")
                found = Axe().run(page).response["violations"]
                wrong = [
                    (each["id"], [node["html"] for node in each["nodes"]])
                    for each in found
                    if each["impact"] in ("serious", "critical")
                ]
                assert wrong == [], (look, name)
                assert page.evaluate("document.documentElement.scrollWidth") <= width, (look, name)
                assert page.locator("h1").count() == 1, (look, name)


def test_what_strangers_wrote_is_text(client: Client) -> None:
    for name, path in pages(client).items():
        text = client.get(path).text
        assert "<script>alert" not in text, name
        live = client.get(path, HX_Request="true").text
        if name not in ("message", "edit"):
            assert "<html" not in live, name
            assert 'id="badge"' in live, name


def test_what_is_not_there_is_said(client: Client) -> None:
    for path in ("/schedules?name=../../etc/passwd", "/failed/message?key=../..", "/failed/edit?key=%2e%2e%2f"):
        assert client.get(path).status == 404, path
    for path in ("/deliveries?page=-1&state=nothing", "/deliveries?page=99999999999", "/deliveries?text=%00%ff",
                 "/failed?page=x&group=../x", "/audit?before=999999999999999999999", "/workers?x=1"):  # fmt: skip
        assert client.get(path).status == 200, path
    assert "There is nothing of that" in client.get("/deliveries?text=nobody%25").text


def test_a_schedule_is_held_and_goes_on(client: Client) -> None:
    token = client.token("/schedules")
    for form in ({"do": "pause", "name": "../x"}, {"do": "drop", "name": "five-minutes"}, {"do": "pause"}):
        assert client.post("/schedules/do", {**form, "token": token}).status == 404, form
    assert client.post("/schedules/do", {"do": "pause", "name": "five-minutes"}).status == 403
    assert client.get("/schedules/do").status == 405
    form = {"name": "five-minutes", "token": token, "stay": 1}
    assert client.post("/schedules/do", {**form, "do": "pause"}).headers["location"] == "/schedules?name=five-minutes"
    assert "· paused" in client.get("/schedules?name=five-minutes").text
    assert client.post("/schedules/do", {**form, "do": "resume"}).status == 303
    assert "· paused" not in client.get("/schedules?name=five-minutes").text
    assert client.get("/audit").text.count("schedule pause") >= 1
