"""Actors with a payload model: what is sent is checked in the sender, what arrives is checked at the edge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import dramatiq
from dramatiq.actor import Actor
from dramatiq.message import Message
from pydantic import BaseModel

from carrier.messaging.identity import new_id

#: What holds for actors declared here: attempts in all, and milliseconds between them.
DEFAULTS = {"max_attempts": 5, "min_backoff": 5_000, "max_backoff": 3_600_000}


class MessageActor(Actor[..., Any]):
    """A Dramatiq actor whose function takes one checked payload; ``send`` takes the payload's fields in their order."""

    payload: type[BaseModel]
    #: The payload's fields in their order: their names in Python and on the wire.
    names: dict[str, str]

    def message_with_options(
        self, *, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None, **options: Any
    ) -> Message[Any]:
        """Build a message. Options are Dramatiq's, and ``priority`` (0 to 9) and ``max_attempts``.

        Raises:
            pydantic.ValidationError: the payload does not fit the type's model.
        """
        payload = self._checked(args, kwargs or {})
        if not options:  # as Dramatiq makes it, without an id that would be replaced
            return Message(self.queue_name, self.actor_name, (), payload, {}, new_id())
        if "priority" in options:
            options["broker_priority"] = options.pop("priority")
        return super().message_with_options(kwargs=payload, **options).copy(message_id=new_id())

    def send_with_options(
        self,
        *,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
        delay: timedelta | float | None = None,
        **options: Any,
    ) -> Message[Any]:
        """Send with options; ``delay`` is in milliseconds, as in Dramatiq, or a timedelta.

        Raises:
            PublishError: the broker did not confirm it within PUBLISH_TIMEOUT seconds.
            pydantic.ValidationError: the payload does not fit; nothing was sent.
        """
        milliseconds = delay.total_seconds() * 1000 if isinstance(delay, timedelta) else delay
        message = self.message_with_options(args=args, kwargs=kwargs, **options)
        return self.broker.enqueue(message, delay=milliseconds)  # type: ignore[arg-type]  # ours takes fractions

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Handle a payload here and now. A worker calls it with the model that was checked at the edge."""
        if len(args) == 1 and not kwargs and isinstance(args[0], self.payload):
            return super().__call__(args[0])
        return super().__call__(self.payload.model_validate(self._checked(args, kwargs)))

    def _checked(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        """The payload as JSON has it: what was given, no defaults."""
        names = self.names
        if len(args) > len(names):
            raise TypeError(f"{self.actor_name} takes {len(names)} arguments at most: {', '.join(names.values())}")
        given = dict(zip(names.values(), args, strict=False))
        # A keyword of Python, such as "from", is passed with an underscore behind it.
        for name, value in kwargs.items():
            alias = names.get(name, name)
            if alias in given:
                raise TypeError(f"{self.actor_name} got {alias} twice")
            given[alias] = value
        # As model_validate and model_dump, which take twice as long.
        model = self.payload.__pydantic_validator__.validate_python(given)
        plain: dict[str, Any] = self.payload.__pydantic_serializer__.to_python(
            model, mode="json", by_alias=True, exclude_unset=True
        )
        return plain


def actor(
    type: str, *, queue: str, payload: type[BaseModel], **options: Any
) -> Callable[[Callable[[Any], Any]], MessageActor]:
    """Declare the actor of a message type on Dramatiq's global broker.

    Parameters:
        type: the type's name on the wire, which is the actor's name too.
        queue: where its messages wait.
        payload: the model that every payload must fit; the order of its fields is that of positional arguments.
        options: Dramatiq's actor options (``time_limit`` in ms …) and ``max_attempts``.
    """

    def declare(function: Callable[[Any], Any]) -> MessageActor:
        # ``payload`` must be there when the actor declares itself: a worker in this process may take messages at once.
        kind = _actor_class(payload)
        decorate = dramatiq.actor(actor_class=kind, actor_name=type, queue_name=queue, **{**DEFAULTS, **options})
        return cast("MessageActor", decorate(function))

    return declare


def _actor_class(model: type[BaseModel]) -> type[MessageActor]:
    names = {name: field.alias or name for name, field in model.model_fields.items()}
    return type("MessageActor", (MessageActor,), {"payload": model, "names": names})
