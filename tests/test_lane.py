"""Who runs beside whom in a process."""

from __future__ import annotations

import random
import threading
import time

import pytest

from carrier.messaging import lane as lanes
from carrier.messaging.lane import Lane


def test_one_that_runs_alone_runs_alone_and_nobody_waits_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Eight threads for which that is drawn by lot, each as fast as it can. A signal that is missed shows as a wait of
    a minute, and one that slips in as somebody beside another."""
    monkeypatch.setattr(lanes, "PATIENCE", 60.0)
    lane, running, wrong, waits = Lane(), set[int](), list[str](), list[float]()

    def run(seed: int) -> None:
        lot = random.Random(seed)
        for _ in range(1_500):
            alone = lot.random() < 0.05
            began = time.monotonic()
            if not lane.enter(alone=alone, stopped=lambda: False):
                wrong.append("its turn did not come")
                continue
            waits.append(time.monotonic() - began)
            running.add(seed)
            if alone and running != {seed}:
                wrong.append(f"beside {running}")
            running.discard(seed)
            lane.leave(alone=alone)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert max(waits) < 30


def test_who_wants_to_be_alone_gives_up_and_others_go_on() -> None:
    lane, stopped = Lane(), threading.Event()
    assert lane.enter(alone=False, stopped=stopped.is_set)
    answers: list[bool] = []
    suspect = threading.Thread(target=lambda: answers.append(lane.enter(alone=True, stopped=stopped.is_set)))
    suspect.start()
    stopped.set()
    lane.wake()
    suspect.join()
    assert answers == [False]
    lane.leave(alone=False)
    assert lane.enter(alone=False, stopped=lambda: False)
