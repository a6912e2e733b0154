"""Orders: an application written for Dramatiq, with a pipeline, a group callback and a rate limiter.

It was moved to Carrier by one line, the marked one. `python tasks.py a b c` sends the order of three articles, works
until it is shipped, and prints what happened.
"""

from __future__ import annotations

import sys
import threading

import dramatiq
from dramatiq import group
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits import ConcurrentRateLimiter
from dramatiq.rate_limits.backends import StubBackend
from dramatiq.results import Results
from dramatiq.results.backends import StubBackend as StubResults

import carrier

# It was a RabbitmqBroker of Dramatiq's, with the same URL.
broker = carrier.connect()
# Backends in memory, for one process; an application has Redis or Memcached for them.
limits = StubBackend()
broker.add_middleware(GroupCallbacks(limits))
broker.add_middleware(Results(backend=StubResults()))
dramatiq.set_broker(broker)

PRICES = {"apple": 30, "bread": 250, "cheese": 480}
one_till = ConcurrentRateLimiter(limits, "till", limit=1)
charged: list[int] = []
shipped = threading.Event()


@dramatiq.actor(store_results=True)
def price(article: str) -> int:
    """What an article costs, in cents."""
    return PRICES[article]


@dramatiq.actor(max_retries=None, min_backoff=20, max_backoff=100)
def charge(customer: str, amount: int) -> None:
    """Charge a customer; there is one till, and who finds it taken comes again."""
    with one_till.acquire():
        charged.append(amount)
        print(f"{customer} paid {amount}")


@dramatiq.actor
def ship(customer: str) -> None:
    """Ship an order once every article is paid."""
    print(f"shipped to {customer} for {sum(charged)}")
    shipped.set()


def order(customer: str, articles: list[str]) -> None:
    """Have each article priced and charged, then ship them together."""
    lines = group([price.message(article) | charge.message(customer) for article in articles])
    lines.add_completion_callback(ship.message(customer))
    lines.run()


def main() -> None:
    """Send an order and work until it is shipped."""
    order("ada", sys.argv[1:] or list(PRICES))
    worker = dramatiq.Worker(broker, worker_threads=4, worker_timeout=100)
    worker.start()
    done = shipped.wait(60)
    worker.stop()
    broker.close()
    sys.exit(not done)


if __name__ == "__main__":
    main()
