"""Workers die while they send e-mails: each arrives, and what is written down of them is not sent again."""

from __future__ import annotations

import re
import sqlite3
from collections import Counter
from contextlib import closing

from tests.drills.drill import Drill
from tests.drills.load import Load
from tests.drills.site import Site
from tests.servers.smtp import ScriptedSmtp

KILLS = 20
MESSAGES = 2_000
_ID = re.compile(rb"^Message-ID: <([^@]*)@", re.MULTILINE)


def run(site: Site, messages: int) -> str:
    """Kill the worker's whole group once it has sent for a moment, and see who has got what by then."""
    looks: list[tuple[int, set[str]]] = []
    with ScriptedSmtp() as sink:
        site.environment["SMTP_URL"] = sink.url
        site.send(Load(messages, actor="mail", pace=messages / (KILLS * 1.5), batch=5))
        crew = site.workers(1, threads=8)
        while len(looks) < KILLS:
            (worker,) = crew.running
            before = len(sink.taken)
            site.load_for(60, lambda worker=worker, before=before: not worker.running or len(sink.taken) > before)
            site.load_for(site.chance.uniform(0, 1))
            worker.kill()
            looks.append((len(sink.taken), _recorded(site)))
        site.settle()
        arrived = [_id(each.data) for each in sink.taken]
    for seen, recorded in looks:
        again = recorded & set(arrived[seen:])
        assert not again, f"written down as sent, and sent again: {again}"
    counts = Counter(arrived)
    assert len(counts) == messages, f"{messages - len(counts)} e-mails have not arrived"
    twice = sum(1 for count in counts.values() if count > 1)
    written = len(looks[-1][1])
    return (
        f"{KILLS} kills; all arrived, {twice} twice, none of those that were written down ({written} at the last kill)"
    )


def _id(data: bytes) -> str:
    found = _ID.search(data)
    assert found is not None
    return found[1].decode()


def _recorded(site: Site) -> set[str]:
    with closing(sqlite3.connect(site.home / "carrier.db", timeout=60)) as database:
        return {id_ for (id_,) in database.execute("SELECT message_id FROM deliveries WHERE state = 'accepted'")}


DRILLS = (
    Drill(
        "emails-killed",
        f"the worker is killed (-9) {KILLS} times at random while e-mails go to a mail server that counts them",
        run,
        MESSAGES,
    ),
)
