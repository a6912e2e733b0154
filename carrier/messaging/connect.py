"""From settings to a broker."""

from __future__ import annotations

from dramatiq.middleware import Middleware

from carrier.messaging.broker import Broker
from settings import get_settings


def connect(url: str | None = None, *, middleware: list[Middleware] | None = None) -> Broker:
    """The broker of the settings, or of an AMQP URL; nothing is connected before the first use.

    ``dramatiq.set_broker(carrier.connect())`` is all that an application changes to move over.

    Parameters:
        url: ``amqp://`` or ``amqps://``; several, with commas between them, are one cluster.
        middleware: all of it, in its order; without it Dramatiq's own with Carrier's retries.

    Raises:
        SettingsError: a setting is wrong.
    """
    settings = get_settings()
    urls = tuple(each.strip() for each in url.split(",")) if url else settings.broker_urls
    if not urls:
        from carrier.messaging.embedded.broker import EmbeddedBroker

        return EmbeddedBroker(settings.home, publish_timeout=settings.publish_timeout, middleware=middleware)
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker

    return RabbitmqBroker(
        urls, queue_type=settings.queue_type, publish_timeout=settings.publish_timeout, middleware=middleware
    )
