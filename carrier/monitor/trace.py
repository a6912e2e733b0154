"""The life of one message, put together from what is written down of it and from failed_queue."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from carrier.messaging.broker import Broker
from carrier.messaging.envelope import timestamp
from carrier.messaging.event import FAILED, RETRYING
from carrier.monitor.failed import FailedMessage, Filter, find
from carrier.monitor.masking import masking
from carrier.store import deliveries, history
from carrier.store.models import HistoryEntry

#: Nobody notes the sending: every message says when it was made.
_SENT = "sent"


@dataclass
class Life:
    """What is known of a message.

    Attributes:
        state: "failed" while it lies in failed_queue; "waiting", "delayed" or "running" where the broker says so;
            otherwise what happened last.
        events: the oldest first; each has ``at``, ``what``, and what else there is to say.
        recipients: of an e-mail, what mail servers have said of each: ``recipient``, ``state``, ``reply``, ``at``.
    """

    id: str
    type: str = ""
    queue: str = ""
    state: str = ""
    events: list[dict[str, Any]] = field(default_factory=list)
    recipients: list[dict[str, Any]] = field(default_factory=list)

    def fields(self) -> dict[str, Any]:
        """The life as JSON has it."""
        return asdict(self)


def trace(broker: Broker, id_: str) -> Life | None:
    """The life of a message; None where nothing is known of it.

    Raises:
        BrokerUnavailable: the broker cannot be reached.
        StoreUnavailable: the store cannot be read.
    """
    life, entries = Life(id_), history.of(id_)
    for entry in entries:
        life.type, life.queue = entry.type, entry.queue
        life.events.append(_event(entry))
    if entries and (sent := entries[0].detail.get("sent")):
        life.events.insert(0, {"at": sent, "what": _SENT})
    life.state = entries[-1].what if entries else ""
    lying = find(broker, Filter(ids={id_})).messages
    for failed in lying:
        _add_what_it_says(life, failed)
    if lying:
        life.state = FAILED
    elif where := broker.whereabouts(id_):
        life.queue, life.state = where
    for each in deliveries.of(id_):
        at = timestamp(each.at.timestamp())
        life.recipients.append({"recipient": each.recipient, "state": each.state, "reply": each.reply, "at": at})
    life.events.sort(key=lambda event: str(event["at"]))
    return life if life.state else None


def _event(entry: HistoryEntry) -> dict[str, Any]:
    detail = {name: value for name, value in entry.detail.items() if name != "sent"}
    if "message" in detail:
        detail["message"] = masking().mask_error(str(detail["message"]))
    return {
        "at": timestamp(entry.at.timestamp()),
        "what": entry.what,
        "attempt": entry.attempt,
        "worker": entry.worker,
        **detail,
    }


def _add_what_it_says(life: Life, failed: FailedMessage) -> None:
    """What a failed message says itself, where nobody has written it down: another machine keeps a store of its own."""
    life.type, life.queue = failed.type, failed.queue
    known = {event["at"] for event in life.events}
    if failed.envelope is not None and not any(event["what"] == _SENT for event in life.events):
        life.events.append({"at": failed.envelope.created_at, "what": _SENT})
    said = [_said(each, RETRYING) for each in failed.records]
    last = {"at": failed.failed_at, "error": failed.error, "message": failed.message}
    if said and said[-1]["at"] == failed.failed_at:
        last = {**said.pop(), **last}
    said.append(_said({**last, "reason": failed.failure.get("reason", "")}, FAILED))
    life.events += [each for each in said if each["at"] not in known]


def _said(record: dict[str, Any], what: str) -> dict[str, Any]:
    """An event from a record, in which a stranger may have written anything."""
    event: dict[str, Any] = {name: str(record[name]) for name in ("at", "worker", "error", "reason") if name in record}
    if isinstance(attempt := record.get("attempt"), int):
        event["attempt"] = attempt
    return {"at": "", **event, "what": what, "message": masking().mask_error(str(record.get("message", "")))}
