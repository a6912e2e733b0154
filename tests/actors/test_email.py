"""E-mail arrives at a real SMTP server as it was sent, or lies in the outbox."""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import ValidationError

from actors.email.handler import deliver
from actors.email.payload import Email
from settings import Settings
from tests.servers.ports import free_port

Make = Callable[..., Settings]

#: Mail programs decode it, and find a line break (RFC 2047).
ENCODED = "=?utf-8?q?a=0D=0ABcc:_victim=40example.org=0D=0A=0D=0Ainjected?="


def read(data: bytes) -> EmailMessage:
    message = BytesParser(policy=policy.default).parsebytes(data)
    assert isinstance(message, EmailMessage)
    return message


class Mailbox:
    """What the server has taken, and what it refuses: an address's answer, by its local part."""

    def __init__(self) -> None:
        self.taken: list[tuple[list[str], bytes]] = []

    async def handle_RCPT(
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        local = address.partition("@")[0]
        if local.isdigit():
            return f"{local} no"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        self.taken.append((list(envelope.rcpt_tos), bytes(envelope.content or b"")))
        return "250 OK"


@pytest.fixture
def mailbox() -> Iterator[Any]:
    handler = Mailbox()
    controller = Controller(handler, hostname="127.0.0.1", port=free_port())
    controller.start()
    handler.url = f"smtp://127.0.0.1:{controller.port}"
    yield handler
    controller.stop()


def test_without_a_server_it_is_an_eml_file(settings: Make) -> None:
    made = settings()
    email = Email(to="user@example.com", subject="Grüße ✓", body="Text", html="<p>HTML</p>", bcc="hidden@example.com")
    deliver(email, "id-1", made)
    deliver(email, "id-1", made)
    (path,) = made.outbox.iterdir()
    message = read(path.read_bytes())
    assert (message["To"], message["From"], message["Subject"]) == ("user@example.com", "carrier@localhost", "Grüße ✓")
    assert message["Message-ID"] == "<id-1@localhost>"
    assert "Bcc" not in message
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    assert text is not None
    assert html is not None
    assert (text.get_content().strip(), html.get_content().strip()) == ("Text", "<p>HTML</p>")


def test_all_recipients_get_it_and_no_header_names_bcc(settings: Make, mailbox: Any) -> None:
    email = Email(
        to=["a@example.com", "B <b@example.com>"],
        subject="s",
        body="b",
        cc="c@example.com",
        bcc=["d@example.com", "a@example.com"],
        reply_to="r@example.com",
        headers={"X-Campaign": "autumn"},
        attachments=[{"filename": '../Prüfung "1".txt', "content": base64.b64encode(b"\x00data").decode()}],
        **{"from": "Us <us@example.com>"},
    )
    deliver(email, "id-2", settings(SMTP_URL=mailbox.url))
    ((recipients, data),) = mailbox.taken
    assert recipients == ["a@example.com", "b@example.com", "c@example.com", "d@example.com"]
    message = read(data)
    assert b"d@example.com" not in data
    assert (message["From"], message["Reply-To"], message["X-Campaign"]) == (
        "Us <us@example.com>",
        "r@example.com",
        "autumn",
    )
    (attachment,) = message.iter_attachments()
    assert attachment.get_filename() == 'Prüfung "1".txt'
    assert attachment.get_payload(decode=True) == b"\x00data"


def test_some_refused_does_not_send_it_again_to_the_others(settings: Make, mailbox: Any) -> None:
    deliver(
        Email(to=["ok@example.com", "550@example.com"], subject="s", body="b"), "id", settings(SMTP_URL=mailbox.url)
    )
    assert [recipients for recipients, _ in mailbox.taken] == [["ok@example.com"]]


@pytest.mark.parametrize(
    "fields",
    [
        {"to": "not an address"},
        {"to": []},
        {"to": "a@example.com, b@example.com"},
        {"to": "a@example.com\r\nBcc: x@example.com"},
        {"subject": "one\r\nBcc: x@example.com"},
        {"subject": "one\x0bBcc: x"},
        {"subject": "one\u2028two"},
        {"subject": "a\x00b"},
        {"headers": {"X-A": "one\nBcc: x@example.com"}},
        {"headers": {"Bcc": "x@example.com"}},
        {"headers": {"X A": "y"}},
        {"subject": ENCODED},
        {"headers": {"X-A": ENCODED}},
        {"attachments": [{"filename": ENCODED, "content": ""}]},
        {"to": f"{ENCODED} <a@example.com>"},
        {"attachments": [{"filename": "a\nb", "content": ""}]},
        {"attachments": [{"filename": "a", "content": "not base64!"}]},
        {"unknown": 1},
    ],
)
def test_what_could_smuggle_something_in_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Email.model_validate({"to": "a@example.com", "subject": "s", "body": "b", **fields})


@pytest.mark.parametrize("subject", ["x" * 300, "é" * 200, "👩‍👩‍👧" * 40, "Hello\n", " words " * 60])
def test_long_subjects_come_back_equal(settings: Make, mailbox: Any, subject: str) -> None:
    deliver(Email(to="a@example.com", subject=subject, body="é" * 5000), "id", settings(SMTP_URL=mailbox.url))
    ((_, data),) = mailbox.taken
    assert read(data)["Subject"] == subject.strip()
    assert max(len(line) for line in data.split(b"\r\n")) <= 998
