"""The RabbitMQs of this machine: Debian's own, and a newer one in a folder that a node runs in by chroot."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

_PROGRAMS = "/usr/lib/rabbitmq/bin"
_PATH = f"{_PROGRAMS}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#: Where ``rabbitmq4.sh`` puts it.
_FOLDER = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carrier" / "rabbitmq4"
#: Devices, processes and the node's folder are there for the node alone: its mounts end with it.
_ENTER = (
    'mount --bind /dev "$0/dev" && mount -t proc proc "$0/proc" && mount --bind "$1" "$0/node" '
    '&& root=$0 && shift && exec /usr/sbin/chroot "$root" "$@"'
)


@dataclass(frozen=True)
class Installation:
    """One version of RabbitMQ; ``root`` is the folder that it runs in, None for Debian's own."""

    version: str
    root: Path | None = None

    @property
    def is_there(self) -> bool:
        """Can a node of it be started?"""
        if self.root is None:
            return Path(_PROGRAMS, "rabbitmq-server").exists()
        # Where a process may not mount or change its root, what is unpacked is of no use.
        complete = (self.root / "complete").exists()
        return (
            complete and subprocess.run(self.command(self.root / "node", "true"), capture_output=True).returncode == 0
        )

    def command(self, folder: Path, *words: str) -> list[str]:
        """``words`` as they are run beside a node whose files are in ``folder``."""
        if self.root is None:
            return ["env", f"PATH={_PATH}", *words]
        entered = ["unshare", "--mount", "sh", "-c", _ENTER, str(self.root), str(folder)]
        return [*entered, "/usr/bin/env", f"PATH={_PATH}", *words]

    def inside(self, folder: Path) -> str:
        """The path of ``folder`` as the node sees it."""
        return str(folder) if self.root is None else "/node"


INSTALLATIONS = {"3.10": Installation("3.10"), "4": Installation("4", _FOLDER)}
