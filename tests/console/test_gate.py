"""Who may not come in does not, and who may not change anything changes nothing; on the raw answers."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from argon2 import PasswordHasher

from carrier.messaging.broker import Broker
from carrier.messaging.failure import FAILED_QUEUE
from carrier.messaging.outgoing import Outgoing
from tests.console.browser import Client
from tests.console.conftest import Serve
from tests.contract.backend import Backend, Embedded
from tests.programs import Run
from tests.servers.ports import free_port
from tests.waiting import wait_until

HOSTILE = '"><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}'


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """One: the gate knows nothing of brokers."""
    return Embedded(tmp_path / "home")


def fail(broker: Broker, number: int, text: str = "no") -> None:
    """Have so many lie in failed_queue that nobody here works on."""
    failure = {"queue": "work_queue", "error": "KeyError", "message": text, "last_at": "2026-11-26T10:00:00.000Z",
               "fingerprint": "f"}  # fmt: skip
    broker.store(
        [Outgoing(FAILED_QUEUE, "", "", f"junk {n}".encode(), failure=json.dumps(failure)) for n in range(number)]
    )


def log_in(client: Client, password: str) -> int:
    return client.post("/login", {"password": password}).status


def test_without_a_password_only_this_machine_is_answered(serve: Serve, run: Run) -> None:
    client = serve()
    assert client.get("/login").headers["location"] == "/"
    assert "set-cookie" not in client.get("/healthz").headers, "who only asks for that is nobody"
    assert client.get("/").status == 200
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example", ""):
        assert client.get("/", Host=host).status in (400, 421), host
    refused = run("carrier", "web", "--host", "0.0.0.0", "--port", str(free_port()))  # noqa: S104  (that it is refused is what is tried)
    assert refused.returncode == 2
    assert "set CONSOLE_PASSWORD first" in refused.stderr


def test_nothing_is_seen_without_the_password(serve: Serve) -> None:
    client = serve(CONSOLE_PASSWORD="geheim", CONSOLE_VIEW_PASSWORD="schauen")
    assert client.get("/").headers["location"] == "/login"
    for path in ("/failed", "/failed/message?key=00", "/audit", "/nothing", "/workers", "/backups"):
        answer, login = client.get(path), f"/login?to={quote(path, safe='')}"
        assert (answer.status, answer.headers["location"]) == (303, login), path
    assert client.get("/failed", HX_Request="true").headers["hx-redirect"] == "/login?to=%2Ffailed"
    for path in ("/failed/do", "/failed/edit", "/failed/stop", "/logout"):
        assert client.post(path, {"do": "discard"}).status == 401, path
    assert client.get("/healthz").text == "ok\n"
    assert log_in(client, "wrong") == 403
    assert client.get("/").status == 303
    assert log_in(client, "geheim") == 303
    answer = client.get("/")
    assert answer.status == 200
    assert "geheim" not in answer.text


@pytest.mark.parametrize(
    "password", ["pä:ß wört", PasswordHasher(time_cost=1).hash("pä:ß wört")], ids=["plain", "hashed"]
)
def test_a_password_may_be_anything_and_hashed(serve: Serve, password: str) -> None:
    client = serve(CONSOLE_PASSWORD=password)
    assert log_in(client, "pä:ß wört") == 303
    assert log_in(Client(client.port), password if "$" in password else "other") == 403


def test_a_login_leads_to_the_page_that_was_asked_for_and_nowhere_else(serve: Serve) -> None:
    client = serve(CONSOLE_PASSWORD="geheim")
    login = client.get("/failed?text=a%26b").headers["location"]
    assert 'name="to" value="/failed?text=a%26b"' in client.get(login).text
    assert 'value="/failed?text=a%26b"' in client.post("/login", {"password": "x", "to": "/failed?text=a%26b"}).text
    entered = client.post("/login", {"password": "geheim", "to": "/failed?text=a%26b"})
    assert (entered.status, entered.headers["location"]) == (303, "/failed?text=a%26b")
    for to in ("//evil.example", "https://evil.example", "/\\evil.example", "/\t/evil.example", "/a\r\nSet-Cookie: x=y",
               "javascript:alert(1)", "", "/ä"):  # fmt: skip
        assert client.post("/login", {"password": "geheim", "to": to}).headers["location"] == "/", to


def test_who_guesses_has_to_wait(serve: Serve) -> None:
    client = serve(CONSOLE_PASSWORD="geheim")
    assert [log_in(client, f"guess {n}") for n in range(7)] == [403] * 5 + [429] * 2
    answer = client.post("/login", {"password": "geheim"})
    assert answer.status == 429, "the right one, too"
    assert 1 <= int(answer.headers["retry-after"]) <= 4
    wait_until(lambda: log_in(client, "geheim") == 303, "it may try again")


def test_what_changes_anything_is_asked_for_by_a_form_of_this_page(
    serve: Serve, broker: Broker, backend: Backend
) -> None:
    fail(broker, 3)
    client = serve(CONSOLE_PASSWORD="geheim", CONSOLE_VIEW_PASSWORD="schauen")
    assert log_in(client, "geheim") == 303
    wait_until(
        lambda: "junk" in client.get("/failed").text or 'name="last"' in client.get("/failed").text, "it is seen"
    )
    good = {"do": "discard", "last": "1000000", "token": client.token()}
    for path in ("/failed/do", "/failed/stop", "/logout"):
        assert client.get(path).status == 405, path
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": f"https://127.0.0.1:{client.port + 1}"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Sec_Fetch_Site": "same-site"},
    ):
        assert client.post("/failed/do", good, **headers).status == 403, headers
    for token in ("", "wrong", "ä", good["token"][:-1]):
        assert client.post("/failed/do", {**good, "token": token}).status == 403, token
    other = Client(client.port)
    assert log_in(other, "geheim") == 303
    assert other.post("/failed/do", good).status == 403, "another session's token"
    viewer = Client(client.port)
    assert log_in(viewer, "schauen") == 303
    page = viewer.get("/failed").text
    assert 'name="do"' not in page
    assert "you may look, but not change anything" in viewer.get("/failed/edit?key=00").text
    hers = {**good, "token": viewer.token("/")}
    for path in ("/failed/do", "/failed/edit", "/failed/stop"):
        assert viewer.post(path, hers).status == 403, path
    assert backend.ready(FAILED_QUEUE) == 3
    assert client.post("/failed/do", good, Origin=f"http://127.0.0.1:{client.port}").status == 303
    wait_until(lambda: backend.ready(FAILED_QUEUE) == 0, "they are thrown away")
    audit = client.get("/audit").text
    assert "operate at 127.0.0.1" in audit
    wait_until(lambda: "3 of 3 thrown away" in client.get("/audit").text, "it is written down")
    assert client.post("/logout", {"token": good["token"]}).status == 303
    client.cookie = ""
    assert client.get("/").status == 303


def test_every_answer_says_what_a_browser_may_do(serve: Serve) -> None:
    client = serve(CONSOLE_PASSWORD="geheim")
    for path in ("/login", "/", "/static/console.css", "/static/none", "/failed/do", "/healthz"):
        headers = client.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
    assert log_in(client, "geheim") == 303
    answer = client.post("/login", {"password": "geheim"})
    assert "HttpOnly" in answer.headers["set-cookie"]
    assert "SameSite=strict" in answer.headers["set-cookie"]
    for path in ("/", "/failed", "/audit"):
        text = client.get(path).text
        assert " style=" not in text
        assert "<script>" not in text
        assert "http://" not in text.replace("http://www.w3.org", "")


def test_what_strangers_write_is_shown_and_not_obeyed(serve: Serve, broker: Broker) -> None:
    fail(broker, 1, HOSTILE)
    fields = {"id": f"../{HOSTILE}", "type": HOSTILE, "payload": {HOSTILE: HOSTILE, "password": "geheim"},
              "max_attempts": 1, "delay": 0, "priority": 0, "created_at": HOSTILE}  # fmt: skip
    failure = {"queue": HOSTILE, "error": f"x.{HOSTILE}", "message": f"{HOSTILE}\ud800", "place": HOSTILE,
               "last_at": HOSTILE, "fingerprint": HOSTILE, "reason": HOSTILE, "traceback": HOSTILE,
               "attempts": [dict.fromkeys(("attempt", "at", "worker", "error", "message"), HOSTILE), 7]}  # fmt: skip
    for body in (json.dumps(fields).encode(), b"\xff\xfe<img src=x>", b"x" * 10_000_000, b"", b"null"):
        broker.store([Outgoing(FAILED_QUEUE, "", "", body, failure=json.dumps(failure))])
    client = serve()
    wait_until(lambda: ">6 messages" in client.get("/failed").text.replace("\n", "").replace("  ", ""), "all are seen")
    page = client.get("/failed").text
    keys = sorted({each.partition('"')[0] for each in page.split("/failed/message?key=")[1:]})
    assert len(keys) == 6
    pages = [page, client.get("/").text, client.get(f"/failed?text={'%3Cimg+src%3Dx'}").text]
    for key in keys:
        for path in ("/failed/message", "/failed/edit"):
            answer = client.get(f"{path}?key={key}")
            assert answer.status in (200, 413), answer.text
            pages.append(answer.text)
    for each in pages:
        assert "<img src=x" not in each
        assert "<script>alert" not in each
        assert "49" not in each or "{{7*7}}" in each
        assert "geheim" not in each
    for path in ("/failed/message?key=../../etc/passwd", "/failed/message?key=%ff", "/failed/message?key=" + "0" * 5000,
                 "/failed/edit?key=zz", "/failed/message"):  # fmt: skip
        assert client.get(path).status == 404, path
    for path in ("/failed?page=-1", "/failed?page=99999999999999999999", "/failed?page=x", "/failed?text=%ff%00",
                 "/failed?group=%00", "/audit?before=x", f"/failed?text={'a' * 5000}"):  # fmt: skip
        assert client.get(path).status == 200, path
    for path in ("/static/../gate.py", "/static/%2e%2e/gate.py", "/../settings.py", "/static/..%2fgate.py"):
        assert client.get(path).status == 404, path


def test_secrets_are_not_found_by_guessing(serve: Serve, broker: Broker) -> None:
    fail(broker, 1, "refused: password=geheim")
    client = serve()
    wait_until(lambda: "password=[masked]" in client.get("/failed").text, "it is seen")
    assert "password=[masked]" in client.get("/failed?text=refused").text
    assert "Nothing has" in client.get("/failed?text=geheim").text


def test_forms_that_are_none_are_refused_with_the_reason(serve: Serve) -> None:
    client = serve()
    client.get("/")
    for body, kind in ((b"\xff\xfe", None), (b"{}", "application/json"), (b"a=%ff&do=x", None), (b"&" * 20_000, None)):
        answer = client.ask("POST", "/failed/do", body, Content_Type=kind or "application/x-www-form-urlencoded")
        assert answer.status in (400, 403), answer.text
        assert f'<p class="cause">{answer.status}: ' in answer.text
    big = client.ask("POST", "/failed/do", b"a=" + b"x" * 40_000_000, Content_Type="application/x-www-form-urlencoded")
    assert big.status == 400
    assert "400: it is larger than 33,554,432 bytes" in big.text
    for path, status in (("/nothing", 404), ("/failed/do", 405)):
        assert f'<p class="cause">{status}: ' in client.get(path).text
        assert client.get(path, HX_Request="true").text.startswith(f"{status}: "), "no page inside a page"
