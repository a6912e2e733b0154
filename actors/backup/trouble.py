"""What can go wrong with a backup. What is no :class:`PermanentError` may heal: the message is tried again."""

from __future__ import annotations

from carrier.messaging.errors import CarrierError, PermanentError


class BackupError(CarrierError):
    """There is no backup this time; another attempt may make one."""


class ToolStuck(BackupError):
    """A program ran for too long, or did nothing for too long."""


class ToolFailed(BackupError):
    """A program has ended otherwise than well.

    Attributes:
        said: what it wrote on standard error.
    """

    def __init__(self, name: str, status: int, said: str) -> None:
        how = f"was killed (signal {-status})" if status < 0 else f"failed (exit status {status})"
        super().__init__(f"{name} {how}: {' | '.join(said.splitlines()) or 'it said nothing'}"[:2000])
        self.said = said


class NotWhole(BackupError):
    """A program said that all went well, and its output has no end."""


class ToolMissing(PermanentError):
    """A program is not installed."""


class Damaged(CarrierError):
    """A stored backup is not what was stored."""
