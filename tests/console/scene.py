"""An installation on an ordinary bad day: every page of the console has something to show."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.console.browser import Client
from tests.servers.ports import answers, free_port
from tests.servers.process import Process
from tests.servers.smtp import ScriptedSmtp
from tests.waiting import wait_until

CONFIG = """
[databases.shop]
url = "sqlite:///shop.db"

[databases.wiki]
url = "sqlite:///wiki.db"

[schedule.nightly-backup]
message = { type = "backup", payload = { database = "shop" } }
cron = "0 2 * * *"
timezone = "Europe/Berlin"

[schedule.daily-cleanup]
message = { type = "cleanup", payload = { type = "logs", days = 30 } }
every = "1d"

[schedule.five-minutes]
message = { type = "report", payload = { shop = 7 } }
every = "5m"
"""

ACTORS = """
import threading

from pydantic import BaseModel

import carrier
import actors


class Invoice(BaseModel):
    number: int
    currency: str


class Report(BaseModel):
    shop: int


@carrier.actor("invoice", queue="invoice_queue", payload=Invoice, max_attempts=1)
def invoice(invoice: Invoice) -> None:
    if invoice.currency == "???":
        raise KeyError(invoice.currency)
    if invoice.number % 2:
        raise ConnectionRefusedError(f"http://tax.example.com/rates: request {invoice.number} was refused")
    raise carrier.PermanentError("<script>alert(1)</script> is no customer's name: mend it in the shop")


@carrier.actor("report", queue="report_queue", payload=Report)
def report(report: Report) -> None:
    threading.Event().wait(600)
"""

SEND = """
import sqlite3

from carrier import messages

with sqlite3.connect("shop.db") as shop:
    shop.execute("CREATE TABLE orders (id)")
shop.close()
for number in range(1, 38):
    currency = "???" if number % 3 == 0 else "EUR"
    messages.send("invoice", {"number": number, "currency": currency})
messages.send_email(["ada@example.com", "gone@example.com"], "Invoice 4711", "Here it is.")
messages.send_email("later@example.com", "Invoice 4712", "Here it is.")
messages.send_email("bob@example.com", "Invoice 4713", "Here it is.")
messages.send_notification("user123", "email", "Welcome", "Hello.")
messages.send_backup("shop")
messages.send_email("carol@example.com", "Reminder", "Tomorrow.", delay=86_400)
messages.send_many([{"type": "report", "payload": {"shop": number}} for number in range(6)])
"""


@contextmanager
def scene(folder: Path) -> Iterator[Client]:
    """Its console, which needs no password; all of it ends with the ``with`` block."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "carrier.toml").write_text(CONFIG)
    (folder / "own.py").write_text(ACTORS)
    port, started = free_port(), list[Process]()
    refusals = {"RCPT gone@example.com": "550 5.1.1 no such user here",
                "RCPT later@example.com": "451 4.7.1 greylisted, come back in five minutes"}  # fmt: skip
    with ExitStack() as stack:
        mail = stack.enter_context(ScriptedSmtp(dict(refusals)))
        environment = {
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "HOME": str(folder),
            "LANG": "C.UTF-8",
            "CARRIER_ACTORS": "own",
            "SMTP_URL": mail.url,
            "PORT": str(port),
        }

        def start(*words: str) -> Process:
            log = folder / f"{len(started)}.log"
            started.append(Process([sys.executable, *words], log=log, environment=environment, cwd=folder))
            stack.callback(started[-1].kill)
            return started[-1]

        start("-c", SEND).wait()
        start("-m", "carrier", "web")
        start("-m", "carrier", "scheduler")
        doomed = start("-m", "carrier", "worker", "--threads", "2", "--queue", "report_queue")
        wait_until(lambda: answers(port), "the console answers", timeout=60)
        client = Client(port)
        wait_until(lambda: client.get("/workers").text.count("<b>report</b>") == 2, "it is busy")
        start("-m", "carrier", "worker")
        doomed.kill()
        wait_until(lambda: "1 lost" in client.get("/workers").text, "one is lost", timeout=60)
        wait_until(lambda: "38 messages failed" in client.get("/failed").text, "what fails has failed", timeout=60)
        wait_until(lambda: "greylisted" in client.get("/deliveries").text, "mail is answered", timeout=60)
        wait_until(lambda: "1 backup<" in client.get("/backups").text, "there is a backup", timeout=60)
        token = client.token("/schedules")
        client.post("/schedules/do", {"do": "pause", "name": "daily-cleanup", "token": token})
        client.post("/schedules/do", {"do": "run", "name": "nightly-backup", "token": token})
        wait_until(lambda: "2 backups" in client.get("/backups").text, "there is another one", timeout=60)
        yield client
