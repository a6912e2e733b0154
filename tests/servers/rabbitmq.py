"""A RabbitMQ node of the test run's own: on loopback, on free ports, in a temporary folder, with its own epmd."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

from tests.servers.installed import Installation
from tests.servers.ports import HOST, answers, free_port
from tests.servers.process import Process
from tests.waiting import wait_until

#: Seconds for an answer of the management API. A virtual host is gone in under a second, but once, on a busy machine,
#: it took more than ten.
_PATIENCE = 60


class RabbitmqServer:
    """A node with guest/guest and the management API, which somebody has started on these ports."""

    def __init__(self, amqp: int, management: int) -> None:
        self.amqp, self.management = amqp, management

    @property
    def url(self) -> str:
        """The node's AMQP URL, without a virtual host."""
        return f"amqp://guest:guest@{HOST}:{self.amqp}"

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, "the node answers", timeout=90, every=0.1)

    def _answers(self) -> bool:
        try:
            self.api("/overview")
        except OSError:
            return False
        return answers(self.amqp)

    def api(self, path: str, method: str = "GET", body: object = None) -> Any:
        """What the management API answers; ``path`` as in ``/queues/%2F``.

        Raises:
            OSError: it refused, or cannot be reached.
        """
        request = urllib.request.Request(
            f"http://{HOST}:{self.management}/api{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={
                "Authorization": "Basic " + base64.b64encode(b"guest:guest").decode(),
                "Content-Type": "application/json",
            },
        )
        with urllib.request.urlopen(request, timeout=_PATIENCE) as response:  # noqa: S310  (http, to the node of this run)
            text = response.read()
        return json.loads(text) if text else None

    def new_vhost(self) -> str:
        """Make a virtual host and return its AMQP URL."""
        name = f"test-{secrets.token_hex(4)}"
        self.api(f"/vhosts/{name}", "PUT")
        self.api(f"/permissions/{name}/guest", "PUT", {"configure": ".*", "write": ".*", "read": ".*"})
        return f"{self.url}/{name}"

    def delete_vhost(self, url: str) -> None:
        """Remove a virtual host with all that is in it."""
        self.api(f"/vhosts/{quote(url.rpartition('/')[2], safe='')}", "DELETE")


class RabbitmqNode(RabbitmqServer):
    """A node that this process has started; :meth:`start` does not wait for it.

    Parameters:
        beside: a node of the same installation with which it is to form a cluster (:meth:`join`).
        more: settings of its application rabbit, those that rabbitmq.conf does not know in every version too.
    """

    def __init__(
        self, folder: Path, installation: Installation, *, beside: RabbitmqNode | None = None, **more: int
    ) -> None:
        super().__init__(free_port(), free_port())
        self.folder = folder
        self._installation = installation
        self._beside = beside
        self._epmd_port, self._distribution = beside._epmd_port if beside else free_port(), free_port()
        self._name = f"carrier-{secrets.token_hex(4)}@localhost"
        self._settings = " ".join(f"-rabbit {name} {value}" for name, value in more.items())
        cookie = (beside.folder / ".erlang.cookie").read_text() if beside else secrets.token_hex(10)
        (folder / ".erlang.cookie").write_text(cookie)
        (folder / ".erlang.cookie").chmod(0o600)
        (folder / "enabled_plugins").write_text("[rabbitmq_management].\n")
        lines = [
            f"listeners.tcp.1 = {HOST}:{self.amqp}",
            f"management.tcp.ip = {HOST}",
            f"management.tcp.port = {self.management}",
            "disk_free_limit.absolute = 50MB",
            # Management figures are fresh after a second instead of five: tests wait for them.
            "collect_statistics_interval = 1000",
        ]
        (folder / "rabbitmq.conf").write_text("\n".join(lines) + "\n")
        self._epmd: Process | None = None
        if beside is None:
            # A node would start an epmd that outlives it, on the usual port.
            self._epmd = Process(
                installation.command(folder, "epmd", "-port", str(self._epmd_port), "-address", HOST),
                log=folder / "epmd.log",
                environment={"PATH": os.defpath},
            )
            wait_until(lambda: answers(self._epmd_port), "epmd answers")
        self._node = self._start()

    def join(self) -> None:
        """Become a member of the cluster of the node beside it, once both have started.

        Raises:
            RuntimeError: it was refused.
        """
        assert self._beside is not None
        for words in (("stop_app",), ("join_cluster", self._beside._name), ("start_app",)):
            self.ctl(*words)
        self.wait()

    @property
    def _environment(self) -> dict[str, str]:
        folder = self._installation.inside(self.folder)
        return {
            "PATH": os.defpath,
            "HOME": folder,
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "RABBITMQ_NODENAME": self._name,
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "ERL_CRASH_DUMP": f"{folder}/erl_crash.dump",
        }

    def _start(self) -> Process:
        folder = self._installation.inside(self.folder)
        return Process(
            self._installation.command(self.folder, "rabbitmq-server"),
            log=self.folder / "node.log",
            environment={
                **self._environment,
                "RABBITMQ_DIST_PORT": str(self._distribution),
                "RABBITMQ_CONFIG_FILE": f"{folder}/rabbitmq.conf",
                "RABBITMQ_ENABLED_PLUGINS_FILE": f"{folder}/enabled_plugins",
                "RABBITMQ_MNESIA_BASE": f"{folder}/data",
                "RABBITMQ_LOG_BASE": f"{folder}/log",
                "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1} "
                + self._settings,
                # The start script then becomes the Erlang machine: a signal reaches it, and its parent's death too.
                "RUNNING_UNDER_SYSTEMD": "true",
            },
        )

    @property
    def pid(self) -> int:
        """Its process."""
        return self._node.pid

    def folders(self) -> Iterator[Path]:
        """The folders in /proc of its processes."""
        return self._node.folders()

    def ctl(self, *words: str) -> None:
        """What an operator does with rabbitmqctl.

        Raises:
            RuntimeError: it was refused.
        """
        command = self._installation.command(self.folder, "rabbitmqctl", *words)
        ran = subprocess.run(command, env=self._environment, check=False, capture_output=True, text=True, timeout=60)
        if ran.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(words)}: {ran.stdout}{ran.stderr}")

    def kill(self) -> None:
        """SIGKILL it: a power cut, but for the disk's cache."""
        self._node.kill()

    def freeze(self) -> None:
        """Stop it where it is: it holds its connections and answers nothing."""
        os.killpg(self._node.pid, signal.SIGSTOP)
        # Its threads stop each when it is their turn: until then one may still confirm a message.
        wait_until(lambda: self._states() == {"T"}, "all of its threads stand still")

    def _states(self) -> set[str]:
        """The states of all threads in its process group (proc(5))."""
        states = set()
        for folder in self.folders():
            for path in folder.glob("task/[0-9]*/stat"):
                with contextlib.suppress(OSError):  # it has ended
                    states.add(path.read_text().rpartition(") ")[2].split()[0])
        return states - {"Z"}

    def thaw(self) -> None:
        """Let it go on."""
        os.killpg(self._node.pid, signal.SIGCONT)

    def start(self) -> None:
        """Start it again, with the data that it has; :meth:`wait` waits for it."""
        self._node = self._start()

    def stop(self) -> None:
        """End it and its epmd; nobody needs its data any more."""
        self._node.kill()
        if self._epmd is not None:
            self._epmd.kill()
