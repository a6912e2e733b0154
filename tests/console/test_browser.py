"""The first sitting, and a bad day, as somebody has them in a browser."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

from playwright.sync_api import Page, expect

from carrier.messaging.broker import Broker
from tests.console.chromium import PATIENCE
from tests.console.conftest import Serve
from tests.contract.backend import Backend
from tests.programs import Run, Start
from tests.waiting import wait_until

expect.set_options(timeout=PATIENCE)

ACTORS = """
import dramatiq
from pathlib import Path
from pydantic import BaseModel

import carrier

dramatiq.set_broker(carrier.connect())


class Work(BaseModel):
    number: int
    mode: str


@carrier.actor("work", queue="work_queue", payload=Work, max_attempts=1)
def work(work: Work) -> None:
    if not Path("mended").exists():
        if work.mode == "a":
            raise KeyError("no table")
        if work.mode == "b":
            raise ConnectionRefusedError(f"server {work.number} is down")
        if work.mode == "c":
            raise ValueError("bad day")
    with Path("done").open("a") as done:
        done.write(f"{work.number}\\n")
"""


def go_to(page: Page, role: str, name: str) -> None:
    """Press the Tab key until this has the focus: the mouse is not needed for anything."""
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.get_by_role(role, name=name).and_(page.locator(":focus")).count():
            return
    raise AssertionError(f"the {role} {name!r} cannot be reached by the keyboard")


def test_the_first_sitting(
    page: Page, serve: Serve, broker: Broker, backend: Backend, start: Start, run: Run, tmp_path: Path
) -> None:
    start("carrier", "worker", **backend.environment)
    for title in ("first", "second"):
        sent = run(
            "carrier", "send", "notification", "user123", "email", title, "You have mended it.", **backend.environment
        )
        assert sent.returncode == 0, sent.stderr
    client = serve()
    page.goto(f"http://127.0.0.1:{client.port}")
    expect(page.get_by_role("heading", level=1)).to_have_text("2 messages need you")

    # By the keyboard alone: the cause, one message, its payload put right.
    expect(page.get_by_role("link", name="no address")).to_be_visible()
    go_to(page, "link", "2 notification PermanentError no address for 'user123': add")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("2 \u00d7 PermanentError")
    identified = page.get_by_role("row", name="notification").first.get_by_role("link")
    id_ = identified.inner_text()
    go_to(page, "link", id_)
    page.keyboard.press("Enter")
    expect(page.locator(".cause")).to_have_text(
        "no address for 'user123': add '[recipients.user123]' with email = \"…\" to carrier.toml"
    )
    go_to(page, "link", "Edit and send")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Edit notification and send")
    go_to(page, "textbox", "Payload")
    draft = json.loads(page.get_by_role("textbox").input_value())
    assert draft["type"] == "email"
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(json.dumps({**draft, "type": "inbocks"}))
    go_to(page, "button", "Send")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("type")
    go_to(page, "textbox", "Payload")
    page.keyboard.press("Control+A")
    page.keyboard.insert_text(json.dumps({**draft, "type": "inbox"}))
    go_to(page, "button", "Send")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 message failed")

    # The other one: what it says is to be added is added, and one click sends it back.
    config = tmp_path / "carrier.toml"
    config.write_text('[recipients.user123]\nemail = "user@example.com"\n')
    wait_until(lambda: time.time() - config.stat().st_mtime > 1.5, "nobody writes to it any more")
    page.get_by_role("row", name="PermanentError no address").get_by_role("button", name="Retry 1").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing has failed")
    wait_until(lambda: list((tmp_path / "home" / "outbox").glob("*.eml")), "it is sent")
    expect(page.locator("#badge")).to_be_hidden()
    page.get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("All is well")


def fail(broker: Broker, run: Run, backend: Backend, start: Start, tmp_path: Path, modes: str) -> None:
    """Have messages fail in a real worker."""
    (tmp_path / "own.py").write_text(ACTORS)
    backend.environment["CARRIER_ACTORS"] = "own"
    start("carrier", "worker", **backend.environment)
    script = (
        "from carrier import messages\n"
        "messages.send_many({'type': 'work', 'payload': {'number': number, 'mode': mode}}"
        f" for number, mode in enumerate({modes!r}))"
    )
    sent = run("python", "-c", script, **backend.environment)
    assert sent.returncode == 0, sent.stderr
    wait_until(lambda: backend.ready("failed_queue") == len(modes), "all have failed")


def done(tmp_path: Path) -> list[int]:
    path = tmp_path / "done"
    return sorted(map(int, path.read_text().split())) if path.exists() else []


def test_a_broken_handler(
    page: Page, serve: Serve, broker: Broker, backend: Backend, start: Start, run: Run, tmp_path: Path
) -> None:
    fail(broker, run, backend, start, tmp_path, "aaa")
    client = serve()
    page.goto(f"http://127.0.0.1:{client.port}/failed")
    page.get_by_role("link", name="KeyError 'no table'").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("3 \u00d7 KeyError")
    page.get_by_role("table").get_by_role("link").first.click()
    expect(page.get_by_role("heading", name="Traceback")).to_be_visible()
    page.get_by_role("link", name="Edit and send").click()
    draft = page.get_by_role("textbox", name="Payload")
    number = json.loads(draft.input_value())["number"]
    draft.fill(json.dumps({"number": number, "mode": "fine"}))
    page.get_by_role("button", name="Send").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 messages failed")
    wait_until(lambda: done(tmp_path) == [number], "the edited one is done")
    (tmp_path / "mended").touch()
    page.get_by_role("button", name="Retry 2").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing has failed")
    wait_until(lambda: done(tmp_path) == [0, 1, 2], "all are done")


def test_three_clicks_mend_two_thousand_failures_of_three_causes(
    page: Page, serve: Serve, broker: Broker, backend: Backend, start: Start, run: Run, tmp_path: Path
) -> None:
    fail(broker, run, backend, start, tmp_path, "abcc" * 500)
    client = serve()
    page.goto(f"http://127.0.0.1:{client.port}/failed")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("2.000 messages failed"))
    (tmp_path / "mended").touch()
    causes = page.locator("table.groups tbody")
    expect(causes.get_by_role("row")).to_have_count(3)
    for cause in ("KeyError", "ConnectionRefusedError", "ValueError"):
        causes.get_by_role("row", name=cause).get_by_role("button", name="Retry").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Nothing has failed")
    wait_until(lambda: done(tmp_path) == list(range(2000)), "each is done once")
