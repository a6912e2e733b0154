"""Deletes old files by a policy. It knows nothing of queues and can be called from a plain script.

The walk holds every folder open and names files relative to it: a folder that is swapped for a link on the way does
not lead outside (openat(2), "Rationale"). Links are neither followed nor deleted; folders stay.
"""

from __future__ import annotations

import logging
import os
import stat
import time
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from pathlib import Path

from actors.cleanup.payload import Cleanup
from carrier.messaging.errors import PermanentError
from settings import CleanupPolicy, Settings

logger = logging.getLogger(__name__)

#: Folders that a system or its people live in. What lies below them may be named.
_SYSTEM = {
    *("/", "/bin", "/boot", "/dev", "/etc", "/home", "/lib", "/lib64", "/media", "/mnt", "/opt", "/proc", "/root"),
    *("/run", "/sbin", "/srv", "/sys", "/tmp", "/usr", "/usr/bin", "/usr/lib", "/usr/local", "/var", "/var/lib"),  # noqa: S108  (refused, not used)
}


@dataclass
class Tally:
    """What a cleanup has done, or with ``dry_run`` what it would have."""

    deleted: int = 0
    bytes: int = 0
    kept: int = 0
    failures: list[str] = field(default_factory=list)


def clean_up(cleanup: Cleanup, settings: Settings) -> Tally:
    """Delete regular files that match the policy and are older than ``days`` days.

    A file that cannot be deleted does not stop the rest. With ``dry_run`` each that would go is logged with its age.

    Raises:
        PermanentError: there is no such policy, or one of its roots must not be cleaned; nothing was deleted.
    """
    policy = _policy(cleanup.type, settings)
    roots = roots_of(cleanup.type, settings)
    before = time.time() - cleanup.days * 86_400
    tally = Tally()
    for root in roots:
        _clean(root, policy, before, cleanup.dry_run, tally)
    for failure in tally.failures[:10]:
        logger.warning("cleanup %s: %s", cleanup.type, failure)
    verb = "would delete" if cleanup.dry_run else "deleted"
    logger.info(
        "cleanup %s: %s %d files, %d bytes; kept %d", cleanup.type, verb, tally.deleted, tally.bytes, tally.kept
    )
    return tally


def roots_of(name: str, settings: Settings) -> list[Path]:
    """The folders that a policy cleans.

    Raises:
        PermanentError: as :func:`clean_up`.
    """
    return [_root(settings.config_folder / root, name, settings) for root in _policy(name, settings).roots]


def _policy(name: str, settings: Settings) -> CleanupPolicy:
    if name not in settings.cleanup_policies:
        known = ", ".join(sorted(settings.cleanup_policies))
        raise PermanentError(f"unknown cleanup policy {name!r} (known: {known}): add [cleanup.{name}] to carrier.toml")
    return settings.cleanup_policies[name]


def _root(given: Path, policy: str, settings: Settings) -> Path:
    root = Path(os.path.realpath(given))
    homes = (Path.home(), Path(os.path.realpath(Path.home())))
    own = Path(os.path.realpath(settings.home))
    if str(root) in _SYSTEM or root in homes or own.is_relative_to(root):
        raise PermanentError(
            f"cleanup.{policy}: roots: {given} is a system folder, a home folder or CARRIER_HOME; "
            "name a folder that holds only what may go"
        )
    return root


def _clean(root: Path, policy: CleanupPolicy, before: float, dry_run: bool, tally: Tally) -> None:
    def note(path: str, error: OSError) -> None:
        tally.failures.append(f"{os.fsencode(path).decode('utf-8', 'replace')}: {error.strerror or error}")

    def unreadable(error: OSError) -> None:
        if not isinstance(error, FileNotFoundError):
            note(str(error.filename), error)

    for path, _, files, descriptor in os.fwalk(root, onerror=unreadable, follow_symlinks=False):
        for name in files:
            try:
                status = os.stat(name, dir_fd=descriptor, follow_symlinks=False)
                if not stat.S_ISREG(status.st_mode):
                    continue
                stamp = max(status.st_mtime, status.st_ctime) if policy.stamp == "changed" else status.st_mtime
                if stamp >= before or not any(fnmatchcase(name, pattern) for pattern in policy.patterns):
                    tally.kept += 1
                    continue
                if dry_run:
                    days = (time.time() - stamp) / 86_400
                    logger.info("would delete %r, %s %.1f days ago", f"{path}/{name}", policy.stamp, days)
                else:
                    os.unlink(name, dir_fd=descriptor)
            except FileNotFoundError:
                continue  # somebody else has deleted it meanwhile
            except OSError as error:
                note(f"{path}/{name}", error)
                continue
            tally.deleted += 1
            tally.bytes += status.st_size
