"""The service object: sends by type and works inside an application's process."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable, Mapping
from typing import Any

from dramatiq.message import Message
from dramatiq.worker import Worker

from carrier.messaging import application
from carrier.messaging.broker import Broker
from carrier.messaging.errors import EnvelopeError


class Messages:
    """``from carrier import messages``. The actors are those of CARRIER_ACTORS, loaded at the first use.

    Sending returns the message's id once the broker has it safely. ``delay`` is in seconds, ``priority`` goes from 0 to
    9, and ``max_attempts`` counts the first attempt too.

    Every method that sends raises:
        pydantic.ValidationError: the payload does not fit; nothing was sent.
        EnvelopeError: an option or a value is none that a message can have; nothing was sent.
        PublishError: the broker did not take it within PUBLISH_TIMEOUT seconds.
    """

    def __init__(self) -> None:
        self._worker: Worker | None = None

    @property
    def broker(self) -> Broker:
        """The application's broker."""
        return application.load()

    def send(
        self,
        type: str,
        payload: Mapping[str, Any],
        *,
        delay: float = 0,
        priority: int | None = None,
        max_attempts: int | None = None,
    ) -> str:
        """Send a message of any type.

        Raises:
            UnknownMessageType: no actor is declared for it.
        """
        fields = {"type": type, "payload": payload, "delay": delay, "priority": priority, "max_attempts": max_attempts}
        broker = self.broker
        return broker.enqueue(_message(broker, _given(**fields))).message_id

    def send_many(self, messages: Iterable[Mapping[str, Any] | Message[Any]]) -> list[str]:
        """Send many, and wait once. Each is a Dramatiq message, or a mapping with ``type``, ``payload`` and options.

        Raises:
            UnknownMessageType: no actor is declared for one of them; nothing was sent.
        """
        broker, ready = self.broker, []
        for number, each in enumerate(messages, 1):
            try:
                ready.append(_message(broker, each))
            except Exception as error:
                error.add_note(f"it is message {number} of those to be sent; nothing was sent")
                raise
        return [message.message_id for message in broker.enqueue_many(ready)]

    def send_email(
        self,
        to: str | list[str],
        subject: str,
        body: str | None = None,
        html: str | None = None,
        *,
        cc: str | list[str] | None = None,
        bcc: str | list[str] | None = None,
        reply_to: str | list[str] | None = None,
        from_: str | None = None,
        attachments: list[dict[str, Any]] | None = None,
        headers: dict[str, str] | None = None,
        **options: Any,
    ) -> str:
        """Send an e-mail, with a ``body``, or ``html``, or both; options as those of :meth:`send`.

        Parameters:
            attachments: each has ``filename`` and ``content`` in base64, or a ``path`` below ATTACHMENT_ROOT.
        """
        payload = _given(to=to, subject=subject, body=body, html=html, cc=cc, bcc=bcc, reply_to=reply_to)
        more = _given(**{"from": from_}, attachments=attachments, headers=headers)
        return self.send("email", {**payload, **more}, **options)

    def send_backup(self, database: str, path: str | None = None, compress: bool = True, **options: Any) -> str:
        """Send a backup; options as those of :meth:`send`."""
        return self.send("backup", _given(database=database, path=path, compress=compress), **options)

    def send_cleanup(self, type: str, days: float, dry_run: bool = False, **options: Any) -> str:
        """Send a cleanup; options as those of :meth:`send`."""
        return self.send("cleanup", _given(type=type, days=days, dry_run=dry_run), **options)

    def send_notification(
        self,
        user_id: str,
        type: str,
        title: str,
        message: str,
        data: dict[str, Any] | None = None,
        **options: Any,
    ) -> str:
        """Send a notification; options as those of :meth:`send`."""
        payload = _given(user_id=user_id, type=type, title=title, message=message, data=data)
        return self.send("notification", payload, **options)

    async def asend(self, type: str, payload: Mapping[str, Any], **options: Any) -> str:
        """:meth:`send` from async code; its loop goes on meanwhile."""
        return await asyncio.to_thread(self.send, type, payload, **options)

    async def asend_many(self, messages: Iterable[Mapping[str, Any] | Message[Any]]) -> list[str]:
        """:meth:`send_many` from async code."""
        return await asyncio.to_thread(self.send_many, list(messages))

    async def asend_email(self, *args: Any, **options: Any) -> str:
        """:meth:`send_email` from async code."""
        return await asyncio.to_thread(self.send_email, *args, **options)

    async def asend_backup(self, *args: Any, **options: Any) -> str:
        """:meth:`send_backup` from async code."""
        return await asyncio.to_thread(self.send_backup, *args, **options)

    async def asend_cleanup(self, *args: Any, **options: Any) -> str:
        """:meth:`send_cleanup` from async code."""
        return await asyncio.to_thread(self.send_cleanup, *args, **options)

    async def asend_notification(self, *args: Any, **options: Any) -> str:
        """:meth:`send_notification` from async code."""
        return await asyncio.to_thread(self.send_notification, *args, **options)

    def start_consumers(self, *, threads: int = 8, queues: set[str] | None = None) -> None:
        """Work in this process, in threads; returns at once.

        At SIGTERM, when it is called in the main thread, and at the interpreter's end it stops as :meth:`stop` does;
        the program's own handler of the signal is called after that. A server that sets a handler of its own later, as
        uvicorn does once it has imported the application, tells this one only at its end: call it in the lifespan then.

        Parameters:
            queues: those to work on; all without it.
        """
        if self._worker is None:
            self.broker.ending.guard(self.broker)
            self._worker = Worker(self.broker, queues=queues, worker_threads=threads)
            self._worker.start()

    def stop(self) -> None:
        """Give back what is not begun, wait for what runs (SHUTDOWN_GRACE), and stop working. Sending goes on."""
        if self._worker is not None:
            self._worker.stop()
            self._worker = None


def _message(broker: Broker, given: Mapping[str, Any] | Message[Any]) -> Message[Any]:
    if isinstance(given, Message):
        return given
    try:
        fields = dict(given)
        type_, payload = fields.pop("type"), dict(fields.pop("payload"))
    except (KeyError, TypeError, ValueError):
        raise EnvelopeError("a message needs a type and a payload, as in {'type': 'email', 'payload': {…}}") from None
    if unknown := fields.keys() - {"delay", "priority", "max_attempts", "id", "meta"}:
        raise EnvelopeError(f"a message has no {', '.join(sorted(unknown))}")
    delay, id_ = fields.pop("delay", 0), fields.pop("id", None)
    if "priority" in fields:
        fields["broker_priority"] = fields.pop("priority")
    if delay:
        if not isinstance(delay, int | float) or isinstance(delay, bool) or not math.isfinite(delay):
            raise EnvelopeError(f"delay must be a number of seconds, not {delay!r}")
        fields["delay"] = round(delay * 1000)
    message = broker.message(type_, payload, **fields)
    return message if id_ is None else message.copy(message_id=id_)


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


messages = Messages()
