"""What becomes of an e-mail's message, by what the mail server says, on each broker."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from dramatiq import Message

import carrier
from actors.email import pool
from actors.email.handler import deliver
from actors.email.payload import Email
from actors.handling import message_id
from carrier.messaging.broker import Broker
from carrier.monitor import history
from carrier.monitor.status import status
from carrier.monitor.trace import Life, trace
from carrier.store import deliveries
from settings import read_settings
from tests.contract.backend import Backend
from tests.contract.conftest import Working
from tests.servers.ports import free_port
from tests.servers.smtp import DROP, ScriptedSmtp
from tests.waiting import wait_until

PLAIN = ["PIPELINING"]


@dataclass
class Row:
    """What the server answers, and what is to become of an e-mail to a@, b@ and c@."""

    answers: dict[str, str | list[str]]
    events: list[str]
    states: str = "accepted accepted accepted"
    #: To whom it was sent, by e-mail taken.
    taken: list[str] = field(default_factory=lambda: ["abc"])
    features: list[str] = field(default_factory=lambda: PLAIN)
    url: str = ""


ROWS = {
    "250 to all": Row({}, ["done"]),
    "421": Row({"RCPT b@example.com": ["421 busy"]}, ["deferred", "done"]),
    "lost before the body": Row({"DATA": [DROP]}, ["deferred", "done"]),
    "greylisted": Row({"RCPT": ["450 later", "451 later", "452 later"]}, ["retrying", "done"]),
    "lost after the body": Row({"END": [DROP]}, ["retrying", "done"]),
    "refused after the body": Row({"END": ["451 not now"]}, ["retrying", "done"]),
    "some refused": Row({"RCPT b@example.com": "550 gone"}, ["done"], "accepted refused accepted", ["ac"]),
    "all refused": Row({"RCPT": "553 gone"}, ["failed"], "refused refused refused", []),
    "the body is refused": Row({"END": "554 spam"}, ["failed"], "refused refused refused", []),
    "some later": Row({"RCPT b@example.com": ["452 full"]}, ["retrying", "done"], taken=["ac", "b"]),
    "a wrong password": Row({"AUTH": ["535 no"]}, ["deferred", "done"], features=["AUTH PLAIN"], url="//user:hunter2@"),
    "no STARTTLS": Row({}, ["deferred"], "", [], url="//?tls=starttls"),
    "an error at QUIT": Row({"QUIT": "421 no"}, ["done"]),
}


@pytest.fixture
def servers() -> Iterator[dict[str, ScriptedSmtp]]:
    """One for each row."""
    with ExitStack() as stack:
        yield {
            name: stack.enter_context(ScriptedSmtp(deepcopy(row.answers), row.features)) for name, row in ROWS.items()
        }


@pytest.fixture(autouse=True)
def quickly(monkeypatch: pytest.MonkeyPatch) -> None:
    """Minutes are fractions of a second, and each connection carries one e-mail."""
    monkeypatch.setattr("actors.email.sending._LATER", 200)
    monkeypatch.setattr("carrier.messaging.deferral._LEAST", 200)
    monkeypatch.setattr(pool, "MAX_MAILS", 1)
    # Another test's mail server may have had the same port a moment ago.
    monkeypatch.setattr("actors.email.reporting._PAUSE", 0.0)
    # A process has one SMTP_URL; rows that run side by side in one must not take back what was noted of the others'.
    monkeypatch.setattr("actors.email.reporting.only", lambda servers: None)


def environment_of(row: Row, server: ScriptedSmtp) -> str:
    before, _, after = row.url.partition("?")
    return server.url.replace("//", before or "//") + (f"?{after}" if after else "")


def test_each_row_of_the_table(
    broker: Broker,
    backend: Backend,
    working: Working,
    servers: dict[str, ScriptedSmtp],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    history.watch(broker, 10_000)
    settings = {}
    for name, row in ROWS.items():
        monkeypatch.setenv("SMTP_URL", environment_of(row, servers[name]))
        settings[name] = read_settings()

    @carrier.actor("email", queue="email_queue", payload=Email, min_backoff=200, max_backoff=400, broker=broker)
    def send(email: Email) -> None:
        deliver(email, message_id(), settings[email.subject])

    ids: dict[str, str] = {}
    for name in ROWS:
        to = ["a@example.com", "b@example.com"]
        ids[name] = send.send(to=to, cc="c@example.com", subject=name, body="b").message_id

    def ended(name: str) -> bool:
        events = [event["what"] for event in (trace(broker, ids[name]) or Life("")).events]
        return set(ROWS[name].events) <= set(events)

    with working(threads=8):
        wait_until(lambda: all(map(ended, ROWS)), "each has ended as it should")
    for name, row in ROWS.items():
        life: Any = trace(broker, ids[name])
        assert [event["what"] for event in life.events if event["what"] != "sent"][: len(row.events)] == row.events, (
            name
        )
        assert all(event["attempt"] == 1 for event in life.events[1 : 1 + row.events.index(row.events[-1])]), name
        replies = deliveries.known(ids[name])
        assert [str(replies[each].state) for each in sorted(replies)] == row.states.split(), name
        taken = [each for each in servers[name].taken if each.data]
        assert ["".join(who[0] for who in each.recipients) for each in taken] == row.taken, name
        assert len({line for each in taken for line in each.data.splitlines() if line.startswith(b"Message-ID")}) <= 1
        assert ids[name].encode() in b"".join(each.data for each in taken) or not taken
    (alarm,) = [alarm for alarm in status(broker).alarms if "STARTTLS" in alarm]
    assert alarm.startswith(f"mail server 127.0.0.1:{servers['no STARTTLS'].port}: it offers no STARTTLS")
    assert "hunter2" not in str([trace(broker, id_) for id_ in ids.values()])
    reasons = {failure["message"].partition(":")[0]: failure["reason"] for failure in backend.failures()}
    assert reasons == {"refused": "permanent error"}


def test_while_no_server_is_there_no_attempt_is_charged(
    broker: Broker, working: Working, monkeypatch: pytest.MonkeyPatch
) -> None:
    history.watch(broker, 10_000)
    monkeypatch.setenv("SMTP_URL", f"smtp://127.0.0.1:{free_port()}")
    settings = [read_settings()]

    @carrier.actor("email", queue="email_queue", payload=Email, max_attempts=1, broker=broker)
    def send(email: Email) -> None:
        deliver(email, message_id(), settings[-1])

    id_ = send.send(to="a@example.com", subject="s", body="b").message_id
    with working():
        wait_until(
            lambda: sum(e["what"] == "deferred" for e in (trace(broker, id_) or Life("")).events) >= 2,
            "it is put off again and again",
        )
        with ScriptedSmtp() as server:
            monkeypatch.setenv("SMTP_URL", server.url)
            settings.append(read_settings())
            wait_until(lambda: (trace(broker, id_) or Life("")).state == "done", "it is sent once a server is there")
            assert len(server.taken) == 1
    life = trace(broker, id_)
    assert life is not None
    assert life.events[-1]["attempt"] == 1
    assert [(each["recipient"], each["state"]) for each in life.recipients] == [("a@example.com", "accepted")]


def test_a_bad_one_does_not_keep_the_others(
    broker: Broker, backend: Backend, working: Working, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with ScriptedSmtp() as server:
        monkeypatch.setenv("SMTP_URL", server.url)
        monkeypatch.setenv("ATTACHMENT_ROOT", str(tmp_path))
        settings = read_settings()

        @carrier.actor("email", queue="email_queue", payload=Email, broker=broker)
        def send(email: Email) -> None:
            deliver(email, message_id(), settings)

        for n in range(8):
            send.send(to=f"user-{n}@example.com", subject=str(n), body="b")
        send.send(to="a@example.com", subject="s", body="b", attachments=[{"path": "gone.pdf"}])
        foreign = {"to": "b@example.com", "subject": "one\r\nBcc: x@example.com", "body": "b"}
        broker.enqueue(Message("email_queue", "email", (), foreign, {}))
        with working():
            wait_until(lambda: len(server.taken) == 8 and len(backend.failures()) == 2, "8 are sent and 2 have failed")
        broker.join("email_queue", timeout=20_000)
        assert {failure["reason"] for failure in backend.failures()} == {"permanent error", "payload refused"}
        said = " ".join(failure["message"] for failure in backend.failures())
        assert "attachments.0: path: 'gone.pdf' is not there" in said
        assert "payload.subject: must be one line" in said
        assert sorted(who for each in server.taken for who in each.recipients) == [
            f"user-{n}@example.com" for n in range(8)
        ]
