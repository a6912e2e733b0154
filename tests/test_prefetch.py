"""How many messages a consumer takes in advance."""

from __future__ import annotations

import pytest

from carrier.messaging import prefetch
from carrier.messaging.prefetch import Prefetch

#: Seconds, with which a machine computes exactly.
PASSED = 0.125


class Clock:
    """In the place of Python's."""

    now = 0.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """What the time is."""
    clock = Clock()
    monkeypatch.setattr(prefetch, "time", clock)
    return clock


def after(clock: Clock, each: Prefetch, settled: int, in_hand: int) -> bool:
    """Whether the number changes by the time when so many are settled."""
    clock.now += PASSED
    return each.follow(settled, in_hand)


def test_it_grows_with_the_rate_up_to_a_limit(clock: Clock) -> None:
    each = Prefetch(16)
    assert not each.follow(1_000, 16), "too early to say"
    assert not after(clock, each, 40, 16), "320 in a second, of which 16 are enough"
    assert after(clock, each, 400, 0)
    assert each.size == 144
    assert not after(clock, each, 800, 100), "3,200 in a second, of which 160 are not many more"
    assert after(clock, each, 100_000, 0)
    assert each.size == 512


def test_what_would_take_long_goes_back_and_what_waits_for_messages_does_not(clock: Clock) -> None:
    each = Prefetch(16)
    assert after(clock, each, 1_000, 0)
    assert each.size == 400
    assert not after(clock, each, 1_010, 3), "there was nothing to do"
    assert not after(clock, each, 1_110, 400), "400 take 0.5 s"
    assert after(clock, each, 1_130, 400), "400 take 2.5 s"
    assert each.size == 16


def test_who_sets_a_number_has_that_number(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetch, "QUEUE_PREFETCH", 1)
    each = Prefetch(1)
    assert not after(clock, each, 1_000, 0)
    assert each.size == 1
