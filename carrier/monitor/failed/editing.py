"""Editing: a failed message whose content was wrong is sent again with what is right, as a new message that names the
one in whose place it goes.

What a person edits is JSON: the payload; where there are positional arguments too, both; and of what is no message, the
bytes as text. Secrets stay masked in it, and are put back by their place.
"""

from __future__ import annotations

import contextlib
import inspect
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from carrier.messaging.actor import MessageActor
from carrier.messaging.broker import Broker
from carrier.messaging.document import check_depth
from carrier.messaging.envelope import Envelope, check_size, decode, timestamp
from carrier.messaging.errors import EnvelopeError, describe
from carrier.messaging.event import EDITED, Event
from carrier.messaging.identity import new_id
from carrier.messaging.outgoing import Outgoing, outgoing
from carrier.monitor.failed.mending import Mended, mend
from carrier.monitor.failed.message import FailedMessage, afresh
from carrier.monitor.failed.selection import Counted
from carrier.monitor.masking import MASK, masking, unmask


class EditError(ValueError):
    """What was written cannot be sent; the text says why, a line a problem."""


def draft(failed: FailedMessage) -> str:
    """What a person is given to edit."""
    if failed.envelope is None:
        return masking().mask_text(failed.stored.body.decode("utf-8", "backslashreplace"))
    shown = masking().mask(failed.envelope.payload)
    if args := failed.envelope.meta.get("args"):
        shown = {"args": failed.mask_args(args), "payload": shown}
    return json.dumps(shown, indent=2, ensure_ascii=False) + "\n"


def edited(failed: FailedMessage, text: str, *, by: str) -> Outgoing:
    """The message in the place of ``failed``, from what a person has made of its draft.

    Parameters:
        by: who, for the link in its meta.

    Raises:
        EditError: it is not JSON, or not what its type takes.
    """
    if failed.envelope is None:
        return _message(failed, _whole(failed, text), by)
    given = _read(text)
    payload, args = given, failed.envelope.meta.get("args")
    if args:
        if given.keys() != {"args", "payload"} or not isinstance(given["args"], list):
            raise EditError('keep the form {"args": […], "payload": {…}}')
        payload = given["payload"]
        args = _unmasked(given["args"], args, failed.mask_args(args))
    payload = _unmasked(payload, failed.envelope.payload, masking().mask(failed.envelope.payload))
    return _of(failed, payload, args, by)


def assigned(failed: FailedMessage, values: Mapping[str, str], *, by: str) -> Outgoing:
    """The message in the place of ``failed``, with these keys of its payload set; ``a.b`` is key b in the object a.

    A value is JSON or text, whichever its type takes, and whichever it was before.

    Raises:
        EditError: as :func:`edited`.
    """
    if failed.envelope is None:
        raise EditError("it is no message: there is no key to set; edit it without --set")
    payload = failed.envelope.payload
    for key, value in values.items():
        payload = _set(failed, payload, key, value)
    return _of(failed, payload, failed.envelope.meta.get("args"), by)


def send(broker: Broker, failed: FailedMessage, out: Outgoing, *, by: str) -> Mended:
    """Send ``out`` in the place of ``failed``, if that is still there. Raises as :func:`retry`."""
    counted = Counted()
    counted.add(failed)

    told = [
        failed.event(EDITED, by=by, successor=out.id),
        Event(EDITED, out.id, out.type, out.queue, attempt=1, detail={"by": by, "original": failed.id}),
    ]

    def tell() -> None:
        for event in told:
            broker.tell(event)

    return mend(broker, counted, lambda walking, each: walking.send(each.stored, out, tell))


def _of(failed: FailedMessage, payload: dict[str, Any], args: list[Any] | None, by: str) -> Outgoing:
    envelope = failed.envelope
    assert envelope is not None  # noqa: S101  (its callers have looked)
    meta = {**envelope.meta, **({"args": args} if args else {})}
    return _message(failed, replace(envelope, payload=payload, meta=meta), by)


def _message(failed: FailedMessage, envelope: Envelope, by: str) -> Outgoing:
    """Checked, with an id of its own: what handlers remember of the old one must not be taken for it."""
    _check(failed, envelope)
    envelope = afresh(envelope)
    original = {"id": failed.id, "at": timestamp(), "by": by}
    envelope = replace(envelope, id=new_id(), meta={**envelope.meta, "original": original})
    try:
        out = outgoing(envelope, failed.home)
        check_size(out.body)
        check_depth(out.body)
    except (EnvelopeError, ValueError) as error:
        raise EditError(str(error)) from None
    return out


def _check(failed: FailedMessage, envelope: Envelope) -> None:
    actor = failed.broker.actors.get(envelope.type)
    if actor is None:
        raise EditError(f"no actor here is named {envelope.type}: nobody can say what it takes")
    if isinstance(actor, MessageActor):
        try:
            actor.payload.model_validate(envelope.payload)
        except ValidationError as error:
            raise EditError(describe(error)) from None
        return
    try:
        inspect.signature(actor.fn).bind(*envelope.meta.get("args", []), **envelope.payload)
    except TypeError as error:
        raise EditError(f"{envelope.type} cannot be called with it: {error}") from None


def _whole(failed: FailedMessage, text: str) -> Envelope:
    if MASK in text and MASK in draft(failed):
        raise EditError("what is masked in bytes that are no message cannot be put back: write the values")
    try:
        return decode(text.encode("utf-8", "replace"), failed.broker.limit_of)
    except EnvelopeError as error:
        raise EditError(str(error)) from None


def _read(text: str) -> dict[str, Any]:
    try:
        check_depth(text.encode("utf-8", "replace"))
        given = json.loads(text)
        json.dumps(given, allow_nan=False)
    except EnvelopeError as error:
        raise EditError(str(error)) from None
    except (ValueError, RecursionError) as error:
        raise EditError(f"it is not JSON: {error}") from None
    if not isinstance(given, dict):
        raise EditError("it must be a JSON object")
    return given


def _unmasked(given: Any, original: Any, shown: Any) -> Any:
    try:
        return unmask(given, original, shown)
    except ValueError as error:
        raise EditError(str(error)) from None


def _set(failed: FailedMessage, payload: dict[str, Any], key: str, text: str) -> dict[str, Any]:
    """``payload`` with one key set to the first reading of ``text`` that its type takes there."""
    path = key.split(".")
    old: Any = payload
    for part in path:
        old = old.get(part) if isinstance(old, dict) else None
    readings: list[Any] = [text]
    with contextlib.suppress(ValueError):  # it is text only
        readings.insert(1 if isinstance(old, str) else 0, _json(text))
    tried = [_with(payload, path, reading, key) for reading in readings]
    return next((each for each in tried if not _is_refused(failed, each, path[0])), tried[0])


def _json(text: str) -> Any:
    value = json.loads(text)
    json.dumps(value, allow_nan=False)
    return value


def _with(value: Any, path: list[str], new: Any, key: str) -> Any:
    if not path:
        return new
    if value is not None and not isinstance(value, dict):
        raise EditError(f"{key}: there is no object to set it in")
    value = value or {}
    return {**value, path[0]: _with(value.get(path[0]), path[1:], new, key)}


def _is_refused(failed: FailedMessage, payload: dict[str, Any], key: str) -> bool:
    actor = failed.broker.actors.get(failed.type)
    if not isinstance(actor, MessageActor):
        return False
    try:
        actor.payload.model_validate(payload)
    except ValidationError as error:
        return any(problem["loc"][:1] == (key,) for problem in error.errors(include_url=False, include_input=False))
    return False
