"""From settings to a broker, and to what watches over it."""

from __future__ import annotations

from dramatiq.middleware import Middleware

from carrier.messaging.broker import Broker
from carrier.monitor import history
from settings import get_settings


def connect(url: str | None = None, *, middleware: list[Middleware] | None = None) -> Broker:
    """The broker of the settings, or of an AMQP URL; nothing is connected before the first use.

    ``dramatiq.set_broker(carrier.connect())`` is all that an application changes to move over. With SENTRY_DSN set,
    Sentry is started, and told of each message that finally fails.
    What becomes of messages is written down for ``carrier trace``.

    Parameters:
        url: ``amqp://`` or ``amqps://``; several, with commas between them, are one cluster.
        middleware: all of it, in its order; without it Dramatiq's own with Carrier's retries.

    Raises:
        SettingsError: a setting is wrong.
    """
    settings = get_settings()
    dsn = settings.sentry_dsn
    if dsn is not None:
        from carrier.monitor import sentry

        # Before the broker: where the application has Sentry's own Dramatiq integration, it patches what is made after.
        sentry.start(dsn.get_secret_value())
    broker = _broker(url, middleware)
    if dsn is not None:
        sentry.watch(broker)
    if settings.history:
        history.watch(broker, settings.history)
    return broker


def _broker(url: str | None, middleware: list[Middleware] | None) -> Broker:
    settings = get_settings()
    urls = tuple(each.strip() for each in url.split(",")) if url else settings.broker_urls
    if not urls:
        from carrier.messaging.embedded.broker import EmbeddedBroker

        return EmbeddedBroker(
            settings.home,
            publish_timeout=settings.publish_timeout,
            middleware=middleware,
            grace=settings.shutdown_grace,
        )
    from carrier.messaging.rabbitmq.broker import RabbitmqBroker

    management = settings.rabbitmq_management_url
    return RabbitmqBroker(
        urls,
        queue_type=settings.queue_type,
        home=settings.home,
        publish_timeout=settings.publish_timeout,
        management_url=management.get_secret_value() if management and not url else None,
        middleware=middleware,
        grace=settings.shutdown_grace,
    )
