"""The peers' environment, and the mail server: made when they are first needed."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

FOLDER = Path(__file__).parent
#: The peers' environment.
PEERS = FOLDER / ".venv"
_POSTFIX = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "carrier" / "postfix"


def peer(program: str) -> str:
    """The path of a peer's program; the environment is made, and brought up to date, when it is needed."""
    wanted = (FOLDER / "requirements.txt").read_text()
    stamp = PEERS / "installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        print("making the peers' environment", file=sys.stderr)
        venv.create(PEERS, with_pip=True)
        _run(str(PEERS / "bin" / "python"), "-m", "pip", "install", "-q", "-r", str(FOLDER / "requirements.txt"))
        stamp.write_text(wanted)
    return str(PEERS / "bin" / program)


def own(program: str) -> str:
    """The path of a program of Carrier's environment."""
    return str(Path(sys.executable).parent / program)


def smtp_sink() -> tuple[str, dict[str, str]]:
    """Postfix's smtp-sink, which takes e-mails as fast as anything can, unpacked and not installed; and the environment
    that it needs."""
    program = _POSTFIX / "usr" / "sbin" / "smtp-sink"
    if not program.exists():
        print("unpacking Postfix", file=sys.stderr)
        with tempfile.TemporaryDirectory() as folder:
            os.chmod(folder, 0o755)  # noqa: S103, PTH101  (apt downloads as a user of its own)
            _run("apt-get", "download", "-q", "postfix", *_LIBRARIES, cwd=folder)
            for package in Path(folder).glob("*.deb"):
                _run("dpkg-deb", "--extract", str(package), str(_POSTFIX))
    libraries = [_POSTFIX / "usr" / "lib" / "postfix", *(_POSTFIX / "usr" / "lib").glob("*-linux-gnu")]
    return str(program), {"LD_LIBRARY_PATH": ":".join(map(str, libraries))}


#: What smtp-sink is linked with, beside what every Debian has.
_LIBRARIES = ("libicu72", "libsasl2-2", "libdb5.3", "libnsl2", "libtirpc3")


def _run(*command: str, cwd: str | None = None) -> None:
    subprocess.run(command, check=True, cwd=cwd, stdout=subprocess.DEVNULL)
