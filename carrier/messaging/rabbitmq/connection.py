"""Where RabbitMQ is, and what its errors mean to people. Passwords stay out of every text."""

from __future__ import annotations

import copy
import os
import re
import ssl
from collections.abc import Sequence

import pika
from pika.adapters.utils.connection_workflow import AMQPConnectorException, AMQPConnectorStackTimeout
from pika.exceptions import (
    AMQPConnectionError,
    ChannelClosed,
    ConnectionClosed,
    ProbableAccessDeniedError,
    ProbableAuthenticationError,
    StreamLostError,
)

from carrier.messaging.errors import BrokerUnavailable
from carrier.messaging.rabbitmq.frames import FrameConnection

#: AMQP's reply codes: it does not exist, it is another connection's alone, it exists in another way.
NOT_FOUND, RESOURCE_LOCKED, PRECONDITION_FAILED = 404, 405, 406
#: Seconds after which a peer that does not answer while a connection is made counts as gone.
_TIMEOUT = 10


#: What RabbitMQ says at a limit, which pika repeats inside what it takes it for.
_LIMIT = re.compile(r"connection limit \(\d+\) is reached")


class Connection(pika.BlockingConnection):  # type: ignore[misc]  # pika has no types
    """A connection whose calls can have a limit of time: pika's wait for the server until a heartbeat is missed."""

    def __init__(self, parameters: Sequence[pika.URLParameters]) -> None:
        super().__init__(parameters, _impl_class=FrameConnection)

    def give_up_after(self, seconds: float) -> None:
        """End the connection when it is still open then; the call that hangs raises an AMQPError."""
        error = ConnectionClosed(0, f"no answer within {seconds:g} s")
        self._impl.ioloop.call_later(seconds, lambda: self._impl._terminate_stream(error))

    @property
    def release(self) -> str:
        """The server's version, as "4.3.6"."""
        return str(self._impl.server_properties["version"])

    @property
    def version(self) -> int:
        """The first number of it."""
        return int(self.release.partition(".")[0])


class Nodes:
    """The nodes of one cluster, as parameters to connect with.

    Raises:
        BrokerUnavailable: a URL makes no sense; the text does not repeat it.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        try:
            self.parameters = [pika.URLParameters(url) for url in urls]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            what = str(error).partition(":")[0]
            raise BrokerUnavailable(
                f"RABBITMQ_URL cannot be understood ({what}); write amqp://user:password@host:5672/vhost"
            ) from None

    def named(self, purpose: str, limit: float = _TIMEOUT) -> list[pika.URLParameters]:
        """Parameters with a name by which operators find the connection, for all nodes to be tried in ``limit`` s."""
        named = [copy.copy(each) for each in self.parameters]
        for each in named:
            each.socket_timeout = each.stack_timeout = min(_TIMEOUT, max(0.1, limit / len(named)))
            each.client_properties = {"connection_name": f"carrier {purpose} {os.getpid()}"}
        return named

    def connect(self, purpose: str, limit: float = _TIMEOUT) -> Connection:
        """A connection to the first node that answers; each has its share of ``limit`` seconds for it.

        Raises:
            BrokerUnavailable: none does; the text says why.
        """
        try:
            return Connection(self.named(purpose, limit))
        except (AMQPConnectionError, AMQPConnectorException, OSError, ssl.SSLError) as error:
            raise self.unavailable(error) from None

    def unavailable(self, error: BaseException) -> BrokerUnavailable:
        """What ``error`` means to whoever wanted to use them."""
        return BrokerUnavailable(f"RabbitMQ at {self} cannot be used: {explain(error)}")

    def __str__(self) -> str:
        return ", ".join(f"{each.host}:{each.port}{'' if each.virtual_host == '/' else ' vhost ' + each.virtual_host}"
                         for each in self.parameters)  # fmt: skip


def explain(error: BaseException | None) -> str:
    """One clause for people."""
    if limit := _LIMIT.search(str(error)):
        return limit[0]
    if isinstance(error, ProbableAuthenticationError):
        return "user or password is wrong"
    if isinstance(error, ProbableAccessDeniedError):
        return "the user may not use this virtual host, or it does not exist"
    if isinstance(error, (ChannelClosed, ConnectionClosed)):
        return error.reply_text or str(error)
    # pika wraps what the socket said several times.
    inner: BaseException | None = error
    while inner is not None:
        inside = [getattr(inner, "exception", None), *getattr(inner, "exceptions", ())[-1:], *inner.args]
        nested = next((each for each in inside if isinstance(each, BaseException)), None)
        if nested is None:
            break
        inner = nested
    if isinstance(inner, AMQPConnectorStackTimeout):
        return "no answer in time"
    if isinstance(inner, StreamLostError):
        return "it has closed the connection"
    if isinstance(inner, OSError) and inner.strerror:
        return inner.strerror.lower()
    return str(inner) or type(inner).__name__
