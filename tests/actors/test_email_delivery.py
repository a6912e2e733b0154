"""What a mail server says of each recipient, and what becomes of the e-mail then."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from email.parser import BytesParser
from itertools import product
from pathlib import Path

import pytest

from actors.email import pool, sending
from actors.email.handler import deliver
from actors.email.payload import Email
from carrier.messaging.errors import Deferred, PermanentError, TemporaryError
from carrier.store import database, deliveries, faults
from carrier.store.errors import StoreUnavailable
from settings import Settings
from tests.servers.smtp import DROP, SILENCE, ScriptedSmtp

Make = Callable[..., Settings]

PIPELINED = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 10000000")
ONE_BY_ONE = ("8BITMIME",)


@pytest.fixture(params=[PIPELINED, ONE_BY_ONE], ids=["pipelined", "one by one"])
def features(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """With and without PIPELINING."""
    return tuple(request.param)


def email(*to: str, **more: object) -> Email:
    return Email.model_validate({"to": list(to or ["a@example.com"]), "subject": "s", "body": "b", **more})


def states(id_: str = "id") -> dict[str, str]:
    return {who.partition("@")[0]: str(reply.state) for who, reply in deliveries.known(id_).items()}


CODES = (421, 450, 451, 452, 500, 502, 530, 535, 550, 551, 552, 553, 554)


def test_each_reply_to_each_command(settings: Make, features: tuple[str, ...]) -> None:
    for verb, code in product(("GREETING", "MAIL", "RCPT", "DATA", "END"), CODES):
        id_ = f"{verb}-{code}"
        with ScriptedSmtp({verb: f"{code} because"}, features) as server:
            made = settings(SMTP_URL=server.url)
            is_about_us = verb == "GREETING" or code == 421 or (code in (530, 535) and verb != "END")
            kind = Deferred if is_about_us else TemporaryError if code < 500 else PermanentError
            with pytest.raises(kind, match=f"{code} because"):
                deliver(email(), id_, made)
            assert server.taken == []
            expected = {} if is_about_us else {"a": "later" if code < 500 else "refused"}
            assert states(id_) == expected, id_
            server.answers.clear()
            if kind is PermanentError:
                with pytest.raises(PermanentError, match=f"{code} because"):
                    deliver(email(), id_, made)
                assert server.taken == [], "who has refused it is not asked again"
            else:
                deliver(email(), id_, made)
                assert len(server.taken) == 1
                assert states(id_) == {"a": "accepted"}
        pool.pool.close()


def test_nothing_is_left_with_a_server_that_goes_on_after_it_has_refused(settings: Make) -> None:
    with ScriptedSmtp({"MAIL": ["550 not you"]}, PIPELINED, is_strict=False) as server:
        made = settings(SMTP_URL=server.url)
        with pytest.raises(PermanentError, match="550 not you"):
            deliver(email(), "id", made)
        deliver(email(), "another", made)
        assert [each.connection for each in server.taken] == [2]


def test_lost_or_silent_before_the_body_it_is_put_off(
    settings: Make, features: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.email.connection.TIMEOUT", 0.2)
    monkeypatch.setattr("actors.email.connection.CONNECTING", 0.2)
    for verb in ("GREETING", "EHLO", "MAIL", "RCPT", "DATA"):
        for trouble in (DROP, "what?", "250-and then", SILENCE):
            with ScriptedSmtp({verb: trouble}, features) as server:
                with pytest.raises(Deferred, match=r"mail server 127\.0\.0\.1:"):
                    deliver(email(), f"{verb} {trouble}", settings(SMTP_URL=server.url))
                assert states(f"{verb} {trouble}") == {}
            assert [f"{server.port}" in fault.source for fault in faults.recent()].count(True) == 1
            faults.clear(f"mail server 127.0.0.1:{server.port}")


def test_lost_after_the_body_it_is_an_attempt(
    settings: Make, features: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.email.transaction.FINISHING", 0.2)
    mail = email("a@example.com", "gone@example.com")
    for id_, trouble in (("dropped", DROP), ("strange", "what?"), ("silent", SILENCE)):
        with ScriptedSmtp({"END": [trouble], "RCPT gone@example.com": "550 gone"}, features) as server:
            with ScriptedSmtp() as another:
                made = settings(SMTP_URL=f"{server.url},{another.url}")
                with pytest.raises(TemporaryError, match="while it took the e-mail"):
                    deliver(mail, id_, made)
                assert another.connections == 0, "it may have been taken"
                assert states(id_) == {"gone": "refused"}, "what was said before is kept"
                deliver(mail, id_, made)
            assert [each.recipients for each in server.taken] == [["a@example.com"]]
            assert server.said.count((2, "RCPT TO:<gone@example.com>")) == 0
            (taken,) = server.taken
            assert BytesParser().parsebytes(taken.data)["Message-ID"] == f"<{id_}@localhost>"


def test_each_recipient_has_its_own_outcome(settings: Make, features: tuple[str, ...]) -> None:
    answers: dict[str, str | list[str]] = {
        "RCPT gone@example.com": "550 5.1.1 no such user",
        "RCPT later@example.com": ["451 greylisted", "451 still"],
    }
    mail = email("ok@example.com", "gone@example.com", cc="later@example.com", bcc=["hidden@example.com"])
    with ScriptedSmtp(answers, features) as server:
        made = settings(SMTP_URL=server.url)
        for said in ("greylisted", "still"):
            with pytest.raises(TemporaryError, match=f"not yet for 1 of 4: later@example.com: 451 {said}") as raised:
                deliver(mail, "id", made)
            assert raised.value.least == 300_000
        assert states() == {"ok": "accepted", "hidden": "accepted", "gone": "refused", "later": "later"}
        deliver(mail, "id", made)
        assert states() == {"ok": "accepted", "hidden": "accepted", "gone": "refused", "later": "accepted"}
        deliver(mail, "id", made)
    assert [each.recipients for each in server.taken] == [
        ["ok@example.com", "hidden@example.com"],
        ["later@example.com"],
    ]
    assert deliveries.known("id")["gone@example.com"].text == "550 5.1.1 no such user"
    assert all(b"hidden" not in each.data for each in server.taken)


def test_all_refused_is_final_with_the_replies(settings: Make, features: tuple[str, ...]) -> None:
    answers: dict[str, str | list[str]] = {"RCPT a@example.com": "550 no a", "RCPT b@example.com": "553 no b"}
    with ScriptedSmtp(answers, features) as server:
        made = settings(SMTP_URL=server.url)
        with pytest.raises(PermanentError, match=r"a@example\.com: 550 no a; b@example\.com: 553 no b"):
            deliver(email("a@example.com", "b@example.com"), "id", made)
        deliver(email("c@example.com"), "another", made)
        assert server.connections == 1, "an e-mail that came to nothing does not spoil the connection"
        assert [each.recipients for each in server.taken] == [["c@example.com"]]


def test_an_error_at_quit_is_none(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actors.email.pool.MAX_MAILS", 1)
    for trouble in (DROP, "550 no", "421 no"):
        with ScriptedSmtp({"QUIT": trouble}) as server:
            deliver(email(), f"id {trouble}", settings(SMTP_URL=server.url))
            assert server.verbs()[-1] == "QUIT"
            assert len(server.taken) == 1


def test_the_next_server_is_used_while_one_is_away_or_misconfigured(settings: Make) -> None:
    for trouble in ({"GREETING": "421 busy"}, {"MAIL": "421 busy"}, {"RCPT": DROP}, {"AUTH": "535 no"}):
        with ScriptedSmtp(dict(trouble), [*PIPELINED, "AUTH PLAIN"]) as first, ScriptedSmtp() as second:
            url = first.url.replace("//", "//user:hunter2@")
            deliver(email(), str(trouble), settings(SMTP_URL=f"{url}, {second.url}"))
            assert (len(first.taken), len(second.taken)) == (0, 1)
            (fault,) = faults.recent()
            assert fault.source == f"mail server 127.0.0.1:{first.port}"
            assert "hunter2" not in fault.text
            faults.clear(fault.source)


def test_a_fault_of_a_server_that_is_not_used_any_more_is_taken_back(settings: Make) -> None:
    for source in ("mail server old.example.com:25", "something else"):
        faults.note(source, "it cannot be used")
    with ScriptedSmtp() as server:
        deliver(email(), "id", settings(SMTP_URL=server.url))
    assert [each.source for each in faults.recent()] == ["something else"]


def test_what_a_server_says_cannot_move_a_cursor(settings: Make) -> None:
    with (
        ScriptedSmtp({"RCPT": "550 no\x1b[31m such user"}) as server,
        pytest.raises(PermanentError, match="550 no\ufffd\\[31m such user"),
    ):
        deliver(email(), "id", settings(SMTP_URL=server.url))


def test_a_fault_is_taken_back_once_the_server_can_be_used(settings: Make) -> None:
    with ScriptedSmtp({"GREETING": ["554 not you"]}) as server:
        made = settings(SMTP_URL=server.url)
        with pytest.raises(Deferred):
            deliver(email(), "id", made)
        assert [fault.text for fault in faults.recent()] == ["it answers its greeting with 554 not you"]
        deliver(email(), "id", made)
        assert faults.recent() == []


def test_a_login_is_tried_once_by_one_mechanism(settings: Make) -> None:
    for offered in ("AUTH PLAIN LOGIN CRAM-MD5", "AUTH LOGIN"):
        with ScriptedSmtp({"AUTH": "535 wrong"}, [offered]) as server:
            with pytest.raises(Deferred, match="535 wrong; check user and password in SMTP_URL"):
                deliver(
                    email(), "id", settings(SMTP_URL=server.url.replace("//", "//us%C3%A9r:p%00w@".replace("%00", "")))
                )
            assert server.verbs().count("AUTH") == 1
    with ScriptedSmtp({}, ["AUTH XOAUTH2"]) as server, pytest.raises(Deferred, match="it has: XOAUTH2"):
        deliver(email(), "id", settings(SMTP_URL=server.url.replace("//", "//user:hunter2@")))


def test_connections_are_kept_and_a_closed_one_costs_nothing(settings: Make) -> None:
    with ScriptedSmtp({"MAIL": ["250 ok", "250 ok", "421 enough", "250 ok", "250 ok", DROP]}) as server:
        made = settings(SMTP_URL=server.url)
        for n in range(6):
            deliver(email(), f"id-{n}", made)
        assert [each.connection for each in server.taken] == [1, 1, 2, 2, 3, 3]
        assert len({BytesParser().parsebytes(each.data)["Message-ID"] for each in server.taken}) == 6


def test_a_server_that_closes_what_rests_costs_nothing(settings: Make) -> None:
    with ScriptedSmtp() as server:
        made = settings(SMTP_URL=server.url)
        for n in range(3):
            deliver(email(), f"id-{n}", made)
            server.close_connections()
        assert [each.connection for each in server.taken] == [1, 2, 3]


def test_a_connection_is_renewed_by_count_and_age_and_does_not_rest_for_ever(
    settings: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("actors.email.pool.MAX_MAILS", 2)
    with ScriptedSmtp() as server:
        made = settings(SMTP_URL=server.url)
        for n in range(3):
            deliver(email(), f"id-{n}", made)
        assert [each.connection for each in server.taken] == [1, 1, 2]
        monkeypatch.setattr("actors.email.pool.MAX_AGE", 0)
        deliver(email(), "id-4", made)
        deliver(email(), "id-5", made)
        assert [each.connection for each in server.taken] == [1, 1, 2, 2, 3]
        monkeypatch.setattr("actors.email.pool.MAX_AGE", 300)
        monkeypatch.setattr("actors.email.pool.MAX_REST", 0.1)
        monkeypatch.setattr(pool, "pool", pool.Pool())
        deliver(email(), "id-6", made)
        deadline = time.monotonic() + 20
        while server.verbs(4)[-1:] != ["QUIT"]:
            assert time.monotonic() < deadline
            time.sleep(0.02)  # the server says nothing when it hears something


def test_no_two_threads_share_a_connection(settings: Make) -> None:
    with ScriptedSmtp() as server:
        made = settings(SMTP_URL=server.url)
        threads = [threading.Thread(target=deliver, args=(email(), f"id-{n}", made)) for n in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert len(server.taken) == 20
        assert len({states(f"id-{n}")["a"] for n in range(20)}) == 1


def test_without_a_store_nothing_is_sent(settings: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise StoreUnavailable("the store cannot be used: locked")

    with ScriptedSmtp() as server:
        made = settings(SMTP_URL=server.url)
        with monkeypatch.context() as patch:
            patch.setattr(deliveries, "known", broken)
            with pytest.raises(Deferred, match="who has it"):
                deliver(email(), "id", made)
        assert server.connections == 0


def test_what_was_sent_is_done_even_if_it_cannot_be_written_down(
    settings: Make, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sending, "_RECORDING", 0.1)
    monkeypatch.setattr(sending, "_PAUSE", 0.05)
    database.prepare()

    def broken(*_: object) -> None:
        raise StoreUnavailable("the store cannot be used: locked")

    monkeypatch.setattr(deliveries, "record", broken)
    with ScriptedSmtp() as server:
        deliver(email(), "id", settings(SMTP_URL=server.url))
        assert len(server.taken) == 1
    assert "it cannot be written down who has it" in caplog.text


def test_a_letter_that_only_some_servers_take(settings: Make) -> None:
    with ScriptedSmtp({}, ["SIZE 500"]) as server:
        with pytest.raises(PermanentError, match="the mail server takes 500"):
            deliver(email(body="x" * 1000), "large", settings(SMTP_URL=server.url))
        assert "MAIL" not in server.verbs()
    mail = email("jörg@bücher.example", "b@straße.example")
    with ScriptedSmtp({}, ["PIPELINING"]) as server:
        deliver(mail, "some", settings(SMTP_URL=server.url))
        ((taken),) = server.taken
        assert taken.recipients == ["b@xn--strae-oqa.example"]
        assert taken.data.isascii()
        assert "SMTPUTF8" in deliveries.known("some")["jörg@xn--bcher-kva.example"].text
    with ScriptedSmtp({}, ["PIPELINING"]) as server:
        made = settings(SMTP_URL=server.url)
        deliver(mail, "before", made)
        server.close_connections()
        deliver(mail, "after", made)
        assert [each.connection for each in server.taken] == [1, 2], (
            "whom we refuse ourselves the server has not heard of"
        )
    with ScriptedSmtp({}, PIPELINED) as server:
        deliver(mail, "all", settings(SMTP_URL=server.url))
        ((taken),) = server.taken
        assert taken.recipients == ["jörg@xn--bcher-kva.example", "b@xn--strae-oqa.example"]
        assert "To: jörg@xn--bcher-kva.example".encode() in taken.data
        assert "SMTPUTF8" in next(line for _, line in server.said if line.startswith("MAIL"))


def test_one_that_everybody_has_is_done_whatever_has_become_of_its_files(settings: Make, tmp_path: Path) -> None:
    (tmp_path / "report.pdf").write_bytes(b"%PDF")
    mail = email("a@example.com", "b@example.com", attachments=[{"path": "report.pdf"}])
    with ScriptedSmtp({"RCPT": ["250 yes", "451 later"]}) as server:
        made = settings(SMTP_URL=server.url, ATTACHMENT_ROOT=str(tmp_path))
        with pytest.raises(TemporaryError, match="451 later"):
            deliver(mail, "id", made)
        (tmp_path / "report.pdf").rename(tmp_path / "moved.pdf")
        with pytest.raises(PermanentError, match=r"'report\.pdf' is not there"):
            deliver(mail, "id", made)
        (tmp_path / "moved.pdf").rename(tmp_path / "report.pdf")
        deliver(mail, "id", made)
        (tmp_path / "report.pdf").unlink()
        deliver(mail, "id", made)
        assert [each.recipients for each in server.taken] == [["a@example.com"], ["b@example.com"]]
