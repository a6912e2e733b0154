"""What an engine gives: a stream, and what is known once it has ended well."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from actors.backup.place import Partial
from actors.backup.tool import Limits, Tool, version
from actors.backup.trouble import ToolFailed
from carrier.messaging.errors import PermanentError
from settings import Settings

#: What a program finds in its environment, of ours; messages in English, for they are read.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "TMPDIR", "LD_LIBRARY_PATH")


Scratch = Callable[[], AbstractContextManager[Partial]]


@dataclass(frozen=True)
class Origin:
    """A configured database.

    Attributes:
        url: its connection string. It may hold a password: do not print it.
        tools: the folder of the programs, None for PATH.
        scratch: makes a file for what has to be on disk for a moment.
    """

    name: str
    url: str
    tools: Path | None
    limits: Limits
    scratch: Scratch
    settings: Settings


@dataclass(frozen=True)
class Ended:
    """A dump that is whole.

    Attributes:
        server: who has given it, with its version.
        tool: who has made it, with its version.
        said: what the tool had to say besides: warnings.
    """

    server: str
    tool: str
    said: str = ""


class Dump(Protocol):
    """A dump that is being made."""

    def chunks(self) -> Iterator[bytes]:
        """All of it, once."""

    def finish(self) -> Ended:
        """Once all of it was read.

        Raises:
            NotWhole: it has no end.
            BackupError, PermanentError: who makes it has failed.
        """


class Engine(Protocol):
    """What each module here has."""

    #: As the manifest and the end of the file's name say.
    NAME: str
    SUFFIX: str

    def program(self, tools: Path | None) -> str:
        """The program that makes dumps; nothing where none is needed.

        Raises:
            ToolMissing: it is not installed.
        """

    def dump(self, origin: Origin) -> AbstractContextManager[Dump]:
        """Begin a dump.

        Raises:
            BackupError, PermanentError: it cannot be made.
        """

    def room(self, origin: Origin) -> int:
        """Bytes of disk that it takes for a moment, beside the backup."""

    def check(self, chunks: Iterator[bytes], tools: Path | None, scratch: Scratch) -> None:
        """Read a stored dump as a restore would.

        Parameters:
            tools: the folder of the programs, None for PATH.
            scratch: makes a file for what has to be on disk for a moment.

        Raises:
            Damaged: it is not whole, or not such a dump.
            PermanentError: there is no program to do it.
        """


class Watched:
    """A stream whose beginning and end are kept."""

    #: Bytes of each.
    _HEAD, _TAIL = 4096, 512

    def __init__(self, chunks: Iterable[bytes]) -> None:
        self._chunks = chunks
        self.head = self.tail = b""

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if len(self.head) < self._HEAD:
                self.head += chunk[: self._HEAD - len(self.head)]
            self.tail = chunk[-self._TAIL :] if len(chunk) >= self._TAIL else (self.tail + chunk)[-self._TAIL :]
            yield chunk


class ToolDump:
    """A dump that a program makes.

    Parameters:
        program: its path.
        whole: given the beginning and the end of the dump, says which server it is of; raises NotWhole.
        permanent: what the program says of what no other attempt will change, and what to do; ``{version}`` there is
            that of the program.
    """

    def __init__(
        self,
        tool: Tool,
        program: str,
        origin: Origin,
        whole: Callable[[bytes, bytes], str],
        permanent: Sequence[tuple[str, str]],
    ) -> None:
        self._tool, self._program, self._origin = tool, program, origin
        self._whole, self._permanent = whole, permanent
        self._watched = Watched(tool.chunks())

    def chunks(self) -> Iterator[bytes]:
        """All of it, once."""
        return iter(self._watched)

    def finish(self) -> Ended:
        """As :meth:`Dump.finish`."""
        try:
            said = self._tool.finish()
        except ToolFailed as error:
            raise self._explained(error) from None
        server = self._whole(self._watched.head, self._watched.tail)
        return Ended(server, version(self._program), said)

    def _explained(self, error: ToolFailed) -> Exception:
        for pattern, what in self._permanent:
            if re.search(pattern, error.said):
                text = what.replace("{version}", version(self._program)) if "{" in what else what
                return PermanentError(f"databases.{self._origin.name}: {text}: {error}")
        return error


def environment(**more: str) -> dict[str, str]:
    """That of a program."""
    return {**{name: os.environ[name] for name in _KEPT if name in os.environ}, "LC_ALL": "C.UTF-8", **more}
