"""What somebody orders, and what they hear of it."""

from __future__ import annotations

import html
import json
import re

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import Envelope
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.identity import new_id
from carrier.messaging.outgoing import Outgoing
from carrier.store import audit
from tests.console.browser import Client
from tests.console.conftest import Serve
from tests.contract.backend import Backend
from tests.waiting import wait_until


def fail(broker: Broker, *causes: str) -> None:
    """Have a notification lie in failed_queue for each of these causes."""
    payload = {"user_id": "somebody", "type": "inbox", "title": "Hello", "message": "World"}
    for cause in causes:
        failure = {"queue": "notification_queue", "error": "KeyError", "message": cause, "fingerprint": cause,
                   "last_at": "2026-11-26T10:00:00.000Z", "reason": "failed"}  # fmt: skip
        id_ = new_id()
        body = Envelope(id_, "notification", payload, 5, meta={"attempt": 5, "failure": failure}).encode()
        broker.store([Outgoing(FAILED_QUEUE, id_, "notification", body, failure=json.dumps(failure))])


def key_of(client: Client) -> str:
    """The only message."""
    found: list[str] = wait_until(
        lambda: re.findall(r"/failed/message\?key=(\w+)", client.get("/failed").text), "it is seen"
    )
    return found[0]


def test_what_is_gone_is_said_to_be_gone(serve: Serve, broker: Broker) -> None:
    fail(broker, "a")
    client = serve()
    form = {"key": key_of(client), "token": client.token()}
    assert client.post("/failed/do", {**form, "do": "discard"}).status == 303
    wait_until(lambda: "Nothing has failed" in client.get("/failed").text, "it is thrown away")
    assert client.post("/failed/do", {**form, "do": "retry"}).headers["location"] == "/failed"
    said = '<p class="note" role="status">Nothing is done: what was meant is gone.'
    assert said not in client.get("/failed", HX_Request="true").text, "it is for the page"
    assert said in client.get("/failed").text
    assert said not in client.get("/failed").text, "once"
    assert client.get("/audit").text.count("<td>retry</td>") == 0


def test_what_was_edited_is_gone_from_the_page_at_once(serve: Serve, broker: Broker, backend: Backend) -> None:
    fail(broker, "a")
    client = serve()
    key = key_of(client)
    found = re.search(r"<textarea[^>]*>\n(.*)</textarea>", client.get(f"/failed/edit?key={key}").text, re.DOTALL)
    assert found is not None
    draft = html.unescape(found[1]).replace("World", "You")
    assert draft.count("You") == 1
    sent = client.post("/failed/edit", {"key": key, "draft": draft, "token": client.token()})
    assert sent.headers.get("location") == "/failed", sent.text
    page = client.get("/failed").text
    assert re.search(r'<p class="note" role="status">Sent as [0-9a-f-]{36}\.</p>', page)
    assert key not in page, "although nobody has told of it yet"
    assert backend.ready("notification_queue") == 1


def test_every_cause_can_be_seen(serve: Serve, broker: Broker) -> None:
    fail(broker, *(f"cause {chr(97 + n)}" for n in range(23)))
    client = serve()
    wait_until(lambda: "3 more causes" in client.get("/failed").text, "all are seen")
    assert client.get("/failed").text.count('<td class="wide"><a href="/failed?group=') == 20
    every = client.get("/failed?causes=all").text
    assert every.count('<td class="wide"><a href="/failed?group=') == 23
    assert "more cause" not in every


def test_an_order_that_was_cut_off_is_said_to_be(serve: Serve) -> None:
    audit.record("operate at ::1", "retry", "3 messages: everything")
    client = serve()
    wait_until(lambda: "was cut off by the end of the console" in client.get("/failed").text, "it is said")
    assert "Retry 3 messages: everything" in client.get("/failed").text
    page = client.get("/audit").text
    assert "under way" not in page
    assert "cut off by the end of its console" in page
