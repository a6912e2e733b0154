"""Fire times against an oracle, ten years in twenty zones. There is no broker in it: questions are its messages."""

from __future__ import annotations

import random
from datetime import UTC, datetime
from itertools import takewhile
from zoneinfo import ZoneInfo

from scheduler.cron import Cron
from tests.drills.drill import Drill
from tests.drills.site import EMBEDDED, Site
from tests.scheduler.crontab import ZONES, Crontab, expression, minutes, runs

YEARS = range(2017, 2027)


def ask(site: Site, questions: int) -> str:
    """Random expressions in each zone and year: those that are answered as the oracle does are done."""
    each = max(1, questions // (len(ZONES) * len(YEARS)))
    chance, number, fired, wrong = random.Random(), 0, 0, []
    with site.notes.path.open("w") as notes:
        for name in ZONES:
            zone = ZoneInfo(name)
            for year in YEARS:
                begin, end = datetime(year, 1, 1, tzinfo=UTC), datetime(year + 1, 1, 1, tzinfo=UTC)
                crons = [expression(chance) for _ in range(each)]
                wanted = runs([*map(Crontab, crons)], minutes(zone, begin, end))
                for cron, times in zip(crons, wanted, strict=True):
                    notes.write(f"sent {number} 0 0 0\n")
                    if list(takewhile(end.__ge__, Cron(cron, zone).after(begin))) == times:
                        notes.write(f"done {number} 0\n")
                    else:
                        wrong.append(f"{cron} in {name}, {year}")
                    number, fired = number + 1, fired + len(times)
    return f"{number} expressions, a year each, {fired:,} fire times; wrong: {', '.join(wrong) or 'none'}"


DRILLS = (
    Drill(
        "fire-times",
        f"random cron expressions in {len(ZONES)} zones and {len(YEARS)} years, against an oracle that goes minute by"
        " minute; lost is what was answered wrongly",
        ask,
        1_000,
        brokers=(EMBEDDED,),
    ),
)
