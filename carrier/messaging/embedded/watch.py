"""Wakes consumers when another process has committed, so that none looks a hundred times a second.

After a commit the times of a file beside the database are set, and the kernel tells of it whoever watches that file
(inotify(7)). The database cannot be watched itself: what makes a commit seen is written last and through a mapping, of
which the kernel does not tell.
"""

from __future__ import annotations

import ctypes
import os
import threading
from pathlib import Path

#: Of inotify(7): times or other attributes of a file were changed.
_IN_ATTRIB = 4
#: Bytes read at once, many events.
_ENOUGH = 4096


class Watch:
    """Of one file, in a thread of its own.

    Raises:
        OSError: the kernel has no such thing, or no more of it for this user.
    """

    def __init__(self, path: Path) -> None:
        self._libc = ctypes.CDLL(None, use_errno=True)
        try:
            self._descriptor: int = self._libc.inotify_init1(os.O_CLOEXEC)
        except AttributeError:
            raise OSError("not on this system") from None
        if self._descriptor < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        self._watched: int = self._libc.inotify_add_watch(self._descriptor, os.fsencode(path), _IN_ATTRIB)
        if self._watched < 0:
            number = ctypes.get_errno()
            os.close(self._descriptor)
            raise OSError(number, os.strerror(number))
        self._told: set[threading.Event] = set()
        self._wanted = threading.Event()
        self._ended = False
        self._thread = threading.Thread(target=self._run, name="carrier-watch", daemon=True)
        self._thread.start()

    def tell(self, news: threading.Event) -> None:
        """From here on ``news`` is set by commits: at once while somebody waits, otherwise when the next one does."""
        self._told.add(news)

    def wait(self, news: threading.Event, seconds: float) -> None:
        """Wait until ``news`` is set. Who clears it, then looks, and then waits here misses nothing."""
        self._wanted.set()
        news.wait(seconds)

    def end(self) -> None:
        """Watch no more; who waits goes on waiting."""
        self._ended = True
        self._libc.inotify_rm_watch(self._descriptor, self._watched)  # of which the kernel tells as well
        self._wanted.set()
        self._thread.join()

    def forsake(self) -> None:
        """Close, in a child, what is its parent's, as the thread is."""
        os.close(self._descriptor)

    def _run(self) -> None:
        while not self._ended:
            # While all are busy nobody reads. The kernel keeps one event for many that are alike.
            self._wanted.wait()
            os.read(self._descriptor, _ENOUGH)
            self._wanted.clear()  # first: who begins to wait from here on sets it again
            for news in tuple(self._told):
                news.set()
        os.close(self._descriptor)
