"""What is written is what Python's own parser reads, for e-mails that nobody would think of."""

from __future__ import annotations

import base64
import os
import re
from collections import Counter
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import Parser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from actors.email.address import parse
from actors.email.attached import MAX_SIZE, parts
from actors.email.composition import Part, compose
from actors.email.payload import Attachment, Email
from actors.email.plain_text import plain_text
from carrier.messaging.errors import PermanentError

SENDER = parse("Carrier <carrier@example.com>")
DATE = datetime(2026, 2, 28, 23, 59, 58, tzinfo=UTC)


def composed(email: Email, *, allow_utf8: bool = True, **more: Any) -> tuple[bytes, EmailMessage]:
    files = parts(email.attachments or [], more.pop("root", None))
    raw = compose(email, sender=SENDER, message_id="id-1", date=DATE, parts=files, allow_utf8=allow_utf8)
    read = Parser(policy=policy.default).parsestr(raw.decode())
    assert isinstance(read, EmailMessage)
    assert all(len(line) <= 998 for line in raw.split(b"\r\n"))
    assert raw.count(b"\n") == raw.count(b"\r\n") == raw.count(b"\r")
    assert read.defects == []
    return raw, read


def lines(text: str) -> str:
    return re.sub(r"\r\n|\r|\n", "\n", text)


def joined(name: str) -> str:
    """Without spaces: in names Python's parser keeps the one between two encoded words (RFC 2047, section 6.2)."""
    return name.replace(" ", "")


def content(part: Any) -> str:
    assert isinstance(part, EmailMessage)
    return lines(part.get_payload(decode=True).decode())


# Words that break writers, beside those that hypothesis makes.
WORDS = [
    "=?utf-8?q?a?=",
    "=?",
    "?=",
    '"',
    "\\",
    "<",
    ">",
    ",",
    ";",
    ":",
    "(x)",
    "@",
    "a" * 120,
    "ж" * 90,
    "👩‍👩‍👧",
    "é",
]
#: Mostly what goes into a header.
PRINTABLE = st.text(st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=120)
SOME_WORDS = st.lists(st.sampled_from(WORDS) | st.text(max_size=2), max_size=9).map(" ".join)
TEXT = st.integers(0, 19).flatmap(lambda n: st.text(max_size=20) if n == 19 else PRINTABLE if n % 2 else SOME_WORDS)
LOCAL = st.sampled_from(["user", "jörg", "a.b+c", "x" * 64, "用户"])
DOMAIN = st.sampled_from(["example.com", "bücher.example", "straße.example", "sub.example.org"])
ADDRESS = st.builds("{}@{}".format, LOCAL, DOMAIN)
NAME = PRINTABLE.map(lambda name: name.replace("\\", "").replace('"', ""))
MAILBOX = ADDRESS | st.builds('"{}" <{}>'.format, NAME, ADDRESS)
FIELDS = st.fixed_dictionaries(
    {"to": st.lists(MAILBOX, min_size=1, max_size=4), "subject": TEXT, "body": TEXT | st.text(max_size=3000)},
    optional={
        "html": TEXT | st.text(max_size=2000),
        "cc": MAILBOX,
        "bcc": st.just("hidden@example.net"),
        "reply_to": MAILBOX,
        "headers": st.dictionaries(
            st.sampled_from(["X-Campaign", "List-Unsubscribe", "X-" + "y" * 60]), TEXT, max_size=2
        ),
        "attachments": st.lists(
            st.fixed_dictionaries(
                {
                    "filename": TEXT,
                    "content": st.binary(max_size=300).map(lambda data: base64.b64encode(data).decode()),
                },
                optional={
                    "content_type": st.sampled_from(["text/plain", "image/png", "message/rfc822", "application/x"])
                },
            ),
            max_size=2,
        ),
    },
)


#: With TEST_EXAMPLES=1000 it takes a quarter of a minute.
EXAMPLES = int(os.environ.get("TEST_EXAMPLES", "200"))


def test_what_is_written_is_what_was_sent() -> None:
    #: What was refused of what hypothesis made, by field; "none" counts what was taken.
    refused = Counter[str]()

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck)
    )
    @given(FIELDS)
    def check(fields: dict[str, Any]) -> None:
        refused.update(_read_back(fields))

    check()
    print(f"refused, by field: {dict(refused)}")
    assert refused["none"] >= EXAMPLES / 2
    assert {"subject", "headers"} <= set(refused)


def _read_back(fields: dict[str, Any]) -> list[str]:
    """Which fields are refused; where none is, the e-mail was read back."""
    try:
        email = Email.model_validate(fields)
    except ValidationError as error:
        for problem in error.errors():
            assert problem["msg"].startswith(("Value error, ", "Value should", "String should")), problem
        return [str(problem["loc"][0]) for problem in error.errors()]
    raw, read = composed(email)
    assert [name for name in read.keys() if name in ("To", "Subject", "Bcc", "From")] == ["From", "To", "Subject"]  # noqa: SIM118  (repeated ones too)
    assert b"hidden@example.net" not in raw
    assert read["Subject"] == email.subject
    assert (read["Message-ID"], read["Date"].datetime) == ("<id-1@example.com>", DATE)
    for name, field in (("To", "to"), ("Cc", "cc"), ("Reply-To", "reply_to")):
        expected = [parse(text) for text in email.mailboxes(field)]
        found = read[name].addresses if name in read else ()
        assert [each.addr_spec for each in found] == [each.address for each in expected]
        assert [joined(each.display_name) for each in found] == [joined(each.name) for each in expected]
    for name, value in (email.headers or {}).items():
        assert read[name] == value
    attached = list(read.iter_attachments())
    for part, given_ in zip(attached, email.attachments or [], strict=True):
        assert isinstance(part, EmailMessage)
        assert part.get_filename() == given_.name
        assert part.get_payload(decode=True) == base64.b64decode(given_.content or "")
    text, html = read.get_body(("plain",)), read.get_body(("html",))
    assert content(text).removesuffix("\n") == lines(email.body or "").removesuffix("\n")
    if email.html is not None:
        assert content(html).removesuffix("\n") == lines(email.html).removesuffix("\n")
    assert compose(email, sender=SENDER, message_id="id-1", date=DATE, allow_utf8=False).isascii()
    return ["none"]


@pytest.mark.parametrize(
    "body",
    ["a" * 5000, "ж" * 5000, "x" * 998, "x" * 999, ".\r\n..\n.", "from\nFrom here", "", "\n\n", "a\rb", "\t\x1b[0m"],
)
def test_bodies_come_back(body: str) -> None:
    for html in (None, body):
        _, read = composed(Email(to="a@example.com", subject="s", body=body, html=html))
        found = content(read.get_body(("plain",)))
        assert found.removesuffix("\n") == lines(body).removesuffix("\n")


def test_many_recipients_and_long_headers() -> None:
    to = [f"Recipient Number {n} <recipient-{n}@department-{n}.example.com>" for n in range(100)]
    headers = {"References": " ".join(f"<{n}@{'x' * 50}.example.com>" for n in range(50)), "X-Long": "y" * 2000}
    _, read = composed(Email(to=to, subject="word " * 390, body="b", headers=headers))
    assert len(read["To"].addresses) == 100
    assert {name: read[name] for name in headers} == headers
    assert read["Subject"] == ("word " * 390).strip()


def test_an_address_that_the_server_does_not_take_is_only_named() -> None:
    email = Email(to=["Jörg <jörg@example.com>", "b@example.com"], subject="s", body="b")
    raw, read = composed(email, allow_utf8=False)
    assert raw.isascii()
    assert [each.addr_spec for each in read["To"].addresses] == ["b@example.com"]
    assert read["To"].groups[0].display_name == "Jörg jörg@example.com"


def test_the_text_of_html() -> None:
    html = """<!doctype html><head><title>no</title><style>p {color: red}</style><body>
    <h1>Your   invoice</h1><p>Dear Ada,<br>the <b>total</b> is 5&nbsp;&euro;.</p>
    <ul><li>one</li><li>two</li></ul><p>See <a href="https://example.com/i/1">your account</a> or
    <a href="https://example.com">https://example.com</a>.<script>alert(1)</script></p>
    <table><tr><td>a</td><td>b</td></tr><tr><td>c</td></tr></table><img alt="Logo"><img src="x"><pre>  as
    it is</pre>"""
    assert plain_text(html).splitlines() == [
        *("Your invoice", "", "Dear Ada,", "the total is 5 €.", "", "- one", "- two", ""),
        *("See your account (https://example.com/i/1) or https://example.com.", "", " a b", " c", "", "[Logo]", ""),
        *("  as", "    it is"),
    ]
    _, read = composed(Email(to="a@example.com", subject="s", html="<p>Grüße &lt;dort&gt;</p>"))
    assert content(read.get_body(("plain",))) == "Grüße <dort>"
    assert plain_text("<a>x" * 20_000 + "</a>" * 20_000)
    assert plain_text("") == plain_text("<p> </p>") == ""


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("user@bücher.example", "user@xn--bcher-kva.example"),
        ("user@straße.example", "user@xn--strae-oqa.example"),  # IDNA 2008; in that of 2003 it was strasse
        ("user@BÜCHER.example", "user@xn--bcher-kva.example"),
        ("User@EXAMPLE.com", "User@example.com"),
        ("user@exämple.com ", "user@xn--exmple-cua.com"),
        ("jörg@example.com", "jörg@example.com"),
        ("ｕser@example.com", "ｕser@example.com"),  # noqa: RUF001  (a wide letter)
        ("Jörg Ä <jörg@bücher.example>", "jörg@xn--bcher-kva.example"),
        ('"L., Ada" <ada@example.com>', "ada@example.com"),
        ('"a b"@example.com', None),
        ("user@[127.0.0.1]", None),
        ("user@-example.com", None),
        ("user@exa mple.com", None),
        ("user@xn--a.example ü", None),
        ("us\u2028er@example.com", None),
        ("user@" + "ü" * 80 + ".example", None),
        ("<>", None),
        ("@example.com", None),
        ("user@", None),
        ("group: a@example.com;", None),
    ],
)
def test_addresses(given: str, address: str | None) -> None:
    if address is None:
        with pytest.raises(ValueError, match="must be one e-mail address") as raised:
            parse(given)
        assert len(given) <= 12 or given not in str(raised.value)
    else:
        assert parse(given).address == address


# Files


def attached(root: Path | None, **fields: str) -> list[Part]:
    return parts([Attachment.model_validate(fields)], root)


def test_a_file_is_taken_along_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "2026").mkdir()
    (tmp_path / "2026" / "Rechnung №1.pdf").write_bytes(b"%PDF")
    (part,) = attached(tmp_path, path="2026/Rechnung №1.pdf")
    assert (part.name, part.data) == ("Rechnung №1.pdf", b"%PDF")
    (part,) = attached(tmp_path, path="2026/Rechnung №1.pdf", filename="invoice.pdf")
    assert part.name == "invoice.pdf"


@pytest.mark.parametrize("path", ["/etc/passwd", "../x", "a/../../x", "a//b", "./a", "", "a\0b", "a\nb", ".."])
def test_a_path_that_leads_outside_is_refused_when_it_is_sent(path: str) -> None:
    with pytest.raises(ValidationError, match="path"):
        Attachment.model_validate({"path": path})


def _make(folder: Path, what: str) -> None:
    outside = folder.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret").write_text("secret")
    match what:
        case "link":
            (folder / "x").symlink_to(outside / "secret")
        case "link on the way":
            (folder / "d").symlink_to(outside)
        case "folder":
            (folder / "x").mkdir()
        case "fifo":
            os.mkfifo(folder / "x")
        case "large":
            with (folder / "x").open("wb") as file:
                file.truncate(MAX_SIZE + 1)
        case "device":
            (folder / "x").symlink_to("/dev/zero")


@pytest.mark.parametrize(
    ("what", "path", "match"),
    [
        ("nothing", "x", "is not there"),
        ("link", "x", "a link is on its way"),
        ("link on the way", "d/secret", "a link is on its way"),
        ("folder", "x", "is no regular file"),
        ("fifo", "x", "is no regular file"),
        ("device", "x", "a link is on its way"),
        ("large", "x", "larger than"),
    ],
)
def test_what_is_no_file_below_the_root_fails_for_good(tmp_path: Path, what: str, path: str, match: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    _make(root, what)
    with pytest.raises(PermanentError, match=rf"attachments\.0: .*{match}"):
        attached(root, path=path)


def test_without_a_root_no_path_is_taken(tmp_path: Path) -> None:
    for root in (None, tmp_path / "nosuch"):
        with pytest.raises(PermanentError, match="ATTACHMENT_ROOT is"):
            attached(root, path="x")


@pytest.mark.parametrize(
    ("fields", "where"),
    [
        ({"attachments": [{"filename": "x"}]}, "attachments.0"),
        ({"attachments": [{"content": ""}]}, "attachments.0"),
        ({"attachments": [{"filename": "x", "content": "", "path": "x"}]}, "attachments.0"),
        ({"attachments": [{"filename": "x", "content": "", "content_type": "a/b\r\nc"}]}, "attachments.0.content_type"),
        ({"body": None}, ""),
        ({"body": "\ud800"}, "body"),
        ({"html": "\0"}, "html"),
        ({"subject": "\ud800"}, "subject"),
        ({"headers": {"Bcc": "x"}}, "headers"),
        ({"to": "jörg"}, "to"),
        ({"to": '"a b"@example.com'}, "to"),
        ({"to": "user@[127.0.0.1]"}, "to"),
        ({"to": "a@example.com>, <b@example.com"}, "to"),
        ({"from": "a@b\r\nRCPT TO:<c@d>"}, "from"),
    ],
)
def test_each_refusal_names_its_field(fields: dict[str, Any], where: str) -> None:
    with pytest.raises(ValidationError) as raised:
        Email.model_validate({"to": "a@example.com", "subject": "s", "body": "b", **fields})
    assert ".".join(map(str, raised.value.errors()[0]["loc"])).startswith(where)
