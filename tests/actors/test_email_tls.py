"""A password, and an e-mail, go to the server that is meant, and to nobody else."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme

from actors.email.handler import deliver
from actors.email.payload import Email
from actors.email.server import server_of
from carrier.messaging.errors import Deferred
from carrier.store import faults
from settings import Settings
from tests.servers.smtp import ScriptedSmtp

Make = Callable[..., Settings]
Serve = Callable[..., AbstractContextManager[tuple[ScriptedSmtp, str]]]

EMAIL = Email(to="a@example.com", subject="s", body="b")
NOW = datetime.now(UTC)


class Authority:
    """Whom a test trusts."""

    def __init__(self, folder: Path) -> None:
        self._own, self._other = trustme.CA(), trustme.CA()
        self.file = folder / "ca.pem"
        self._own.cert_pem.write_to_path(str(self.file))
        expired = self._own.issue_cert("localhost", not_before=NOW - timedelta(9), not_after=NOW - timedelta(1))
        self._issued = {
            "good": self._own.issue_cert("localhost"),
            "wrong name": self._own.issue_cert("mail.example.com"),
            "expired": expired,
            "unknown issuer": self._other.issue_cert("localhost"),
        }

    def context(self, which: str) -> ssl.SSLContext:
        """For a server."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._issued[which].configure_cert(context)
        return context


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Made once: keys take their time."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def serving(authority: Authority) -> Serve:
    """``with serving("good", is_implicit=False) as (server, url): …``"""

    @contextmanager
    def serve(which: str, *, is_implicit: bool) -> Iterator[tuple[ScriptedSmtp, str]]:
        features = ["AUTH PLAIN", "PIPELINING"] if is_implicit else ["STARTTLS", "AUTH PLAIN"]
        with ScriptedSmtp({}, features, authority.context(which), is_implicit) as server:
            scheme, tls = ("smtps", "") if is_implicit else ("smtp", "&tls=starttls")
            yield server, f"{scheme}://user:hunter2@localhost:{server.port}?ca={authority.file}{tls}"

    return serve


@pytest.mark.parametrize("is_implicit", [True, False])
def test_a_good_certificate(settings: Make, serving: Serve, is_implicit: bool) -> None:
    with serving("good", is_implicit=is_implicit) as (server, url):
        deliver(EMAIL, "id", settings(SMTP_URL=url))
        assert len(server.taken) == 1
        assert "AUTH" in server.verbs()
        if not is_implicit:
            assert server.verbs()[:4] == ["EHLO", "STARTTLS", "EHLO", "AUTH"], "what was said in the clear is forgotten"


@pytest.mark.parametrize("is_implicit", [True, False])
def test_a_bad_certificate(settings: Make, serving: Serve, is_implicit: bool) -> None:
    for which in ("wrong name", "expired", "unknown issuer", "no trust"):
        with serving("good" if which == "no trust" else which, is_implicit=is_implicit) as (server, url):
            if which == "no trust":
                url = url.replace("?ca=", "?").partition("?")[0] + ("" if is_implicit else "?tls=starttls")
            with pytest.raises(Deferred, match="its certificate is refused"):
                deliver(EMAIL, "id", settings(SMTP_URL=url))
            assert not {"AUTH", "MAIL"} & set(server.verbs())
            assert "hunter2" not in str(server.said)
            (fault,) = faults.recent()
            assert "?ca=FILE" in fault.text
            assert "hunter2" not in fault.text
            faults.clear(fault.source)


def test_without_starttls_nothing_is_said(settings: Make) -> None:
    with ScriptedSmtp({}, ["AUTH PLAIN"]) as server:
        url = server.url.replace("//", "//user:hunter2@")
        with pytest.raises(Deferred, match=r"it offers no STARTTLS; .*smtps:// .*\?tls=none"):
            deliver(EMAIL, "id", settings(SMTP_URL=f"{url}?tls=starttls"))
        assert server.verbs() == ["EHLO"]


def test_starttls_that_is_refused(settings: Make) -> None:
    for answer, kind in (("454 not now", "454 not now"), ("502 never", "502 never")):
        with ScriptedSmtp({"STARTTLS": answer}, ["STARTTLS", "AUTH PLAIN"]) as server:
            with pytest.raises(Deferred, match=kind):
                deliver(EMAIL, "id", settings(SMTP_URL=f"{server.url.replace('//', '//u:p@')}?tls=starttls"))
            assert server.verbs() == ["EHLO", "STARTTLS"]


def test_the_wrong_kind_of_tls_is_said(settings: Make, authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.email.connection.CONNECTING", 0.5)
    with ScriptedSmtp({}, ["STARTTLS"]) as server, pytest.raises(Deferred, match="write smtp:// in SMTP_URL"):
        deliver(EMAIL, "id", settings(SMTP_URL=server.url.replace("smtp:", "smtps:")))
    server = ScriptedSmtp({}, [], authority.context("good"), is_implicit=True)
    with server, pytest.raises(Deferred, match="write smtps:// in SMTP_URL"):
        deliver(EMAIL, "id", settings(SMTP_URL=f"{server.url}?tls=starttls"))


def test_what_an_url_means() -> None:
    for url, port, protection in (
        ("smtp://mail.example.com", 25, "starttls"),
        ("smtp://user:p%40ss@mail.example.com", 587, "starttls"),
        ("smtp://mail.example.com:2525?tls=none", 2525, "none"),
        ("smtps://mail.example.com", 465, "implicit"),
        ("smtp://127.0.0.1", 25, "none"),
        ("smtp://[::1]:26", 26, "none"),
        ("smtp://localhost?tls=starttls", 25, "starttls"),
    ):
        server = server_of(url)
        assert (server.port, server.protection) == (port, protection), url
        assert "p@ss" not in repr(server)
    assert server_of("smtp://user:p%40ss@mail.example.com").password == "p@ss"
    assert str(server_of("smtp://[::1]:26")) == "mail server [::1]:26"


@pytest.mark.parametrize(
    "url",
    [
        "smtp://",
        "smtp://h:0",
        "smtp://h:hunter2",
        "http://h",
        "smtp://h/path",
        "smtp://h?tls=maybe",
        "smtps://h?tls=none",
        "smtp://h?insecure=hunter2",
        "smtp://u%00:hunter2@h",
    ],
)
def test_an_url_that_means_nothing(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL: ") as raised:
        server_of(url)
    assert "hunter2" not in str(raised.value)
