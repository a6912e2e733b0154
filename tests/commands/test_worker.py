"""``carrier worker`` ends when its processes have."""

from __future__ import annotations

import multiprocessing
import threading
from collections.abc import Sequence
from multiprocessing.connection import Connection, wait

from carrier.commands.worker import _told_to_stop


def test_who_gathers_logs_is_woken_when_it_is_to_stop() -> None:
    log, writer = multiprocessing.Pipe(duplex=False)
    seen: list[list[Connection]] = []

    def watch_logs(log_filename: str | None, pipes: Sequence[Connection], stop: threading.Event) -> None:
        ready = wait(pipes)  # as Dramatiq's, but without its limit of a second
        seen.append([each for each in pipes if each in ready])

    stop = threading.Event()
    watcher = threading.Thread(target=_told_to_stop(watch_logs), args=(None, [log], stop), daemon=True)
    watcher.start()
    stop.set()
    watcher.join(30)
    assert not watcher.is_alive()
    assert log not in seen[0], "nothing was logged"
    writer.close()
    log.close()
