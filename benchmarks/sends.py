"""How fast messages are sent, each confirmed before its sender goes on."""

from __future__ import annotations

from benchmarks import system
from benchmarks.place import place
from benchmarks.row import Goal, Row
from benchmarks.system import System
from tests.servers.rabbitmq import RabbitmqNode

#: Messages of one run: all at once, by threads, one by one.
_MANY, _THREADS, _ONE = 10_000, 4_000, 1_500


def rate(each: System, server: RabbitmqNode | None, how: str, number: int, **environment: str) -> float:
    """Messages a second, of so many sent in one of the ways of benchmarks/peers/sending.py."""
    with place(each, server, number, **environment) as here:
        return number / here.send(how, str(number))


def many(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """All at once."""
    goals = [Goal("Carrier", 8, "Dramatiq"), Goal("Carrier", 2, "Taskiq"), Goal("Carrier", 0.65, "pika alone")]
    row = Row("send-many", f"send_many of {_MANY:,}", where, "messages/s", goals)
    systems = [system.carrier(on_rabbitmq=True), system.dramatiq(), system.celery(), system.taskiq()]
    systems += [system.pika(), system.pika(is_same=True)]
    for _ in range(rounds):
        for each in systems:
            row.note(each.name, rate(each, server, "many", _MANY))
    return [_beside_pika(row)]


def threads(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """By 16 threads."""
    row = Row("send-threads", "16 threads call send", where, "messages/s", [Goal("Carrier", 4, "Dramatiq")])
    for _ in range(rounds):
        for each in (system.carrier(on_rabbitmq=True), system.dramatiq(), system.celery(), system.pika(is_same=True)):
            row.note(each.name, rate(each, server, "threads", _THREADS))
    return [_beside_pika(row, ", in one thread and with as many under way")]


def one(rounds: int, server: RabbitmqNode, where: str) -> list[Row]:
    """One after the other."""
    row = Row("send-one", "one thread calls send", where, "messages/s", [Goal("Carrier", 1, "Dramatiq")])
    systems = [system.carrier(on_rabbitmq=True), system.dramatiq(), system.celery(), system.taskiq()]
    systems += [system.pika(), system.pika(is_same=True)]
    for _ in range(rounds):
        for each in systems:
            row.note(each.name, rate(each, server, "one", _ONE))
    return [_beside_pika(row)]


def _beside_pika(row: Row, how: str = "") -> Row:
    """Say how much of what RabbitMQ and pika do with Carrier's messages Carrier does."""
    own, same = row.median("Carrier"), row.median("pika alone, the same messages")
    row.remarks.append(
        'with the envelope, the properties, the kind of queue and the "mandatory" of Carrier\'s messages pika alone'
        f"{how} sends {same:,.0f}/s, of which Carrier does {own / same:.0%}."
    )
    return row


def embedded(rounds: int) -> list[Row]:
    """On SQLite."""
    each, huey, limit = system.carrier(on_rabbitmq=False), system.huey(), system.sqlite()
    single = Row("embedded-send", "one thread calls send", "embedded", "messages/s", [Goal(each.name, 0.7, "Huey")])
    all_ = Row(
        "embedded-send", f"send_many of {_MANY:,}", "embedded", "messages/s", [Goal(each.name, 10, "Huey")]
    )  # fmt: skip
    for _ in range(rounds):
        single.note(each.name, rate(each, None, "one", _ONE))
        single.note(huey.name, rate(huey, None, "one", _ONE))
        all_.note(each.name, rate(each, None, "many", _MANY))
        all_.note(huey.name, rate(huey, None, "many", _MANY))
        all_.note(limit.name, rate(limit, None, "many", _MANY))
    own, least = (1e6 / all_.median(name) for name in (each.name, limit.name))
    all_.remarks.append(
        f"of the {own:.1f} µs of a message SQLite alone takes {least:.1f}; the rest is to check it and to write it as "
        "JSON (see the row of that)."
    )
    return [single, all_]
