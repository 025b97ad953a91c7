"""The two replicas, and a thread that restarts them, as Kubernetes does."""

from __future__ import annotations

import contextlib
import http.client
import signal
import subprocess
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.daemon.leadership import LOST
from tests.benchmarks.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.soak.servers import Servers

LOOK_EVERY = 0.2
RESTART_AFTER = 1.0
"""The initial delay of Kubernetes, in seconds."""
SOCKET = "socket:"


class Replica(Daemon):
    """One of the two replicas. It keeps its folder, port and log across kills and restarts.

    ``lives`` counts its processes. ``own_ends`` has the exit codes of processes that the soak did not end.
    """

    def __init__(self, name: str, folder: Path, servers: Servers, rules: Path, retention: str) -> None:
        self.name = name
        folder.mkdir()
        super().__init__(folder, servers.namespace, [])
        settings = orjson.loads(self.settings.read_bytes())
        settings["rules"] = [str(rules)]
        settings["engine"]["kubeconfig"] = servers.kubeconfig(name, folder)
        settings["store"] = {
            "url": servers.store_url(name),
            "password": {"from_env": "PGPASSWORD"},
            "ledger_max_age": retention,
        }
        self.settings.write_bytes(orjson.dumps(settings))
        self.lives = 0
        self.own_ends: list[int] = []
        self._wanted = self._ended = False
        self._lock = threading.Lock()
        self._keeper = threading.Thread(target=self._keep, daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        while not self._ended:
            time.sleep(LOOK_EVERY)
            if self._ended_unasked():
                time.sleep(RESTART_AFTER)
                self.launch()

    def _ended_unasked(self) -> bool:
        """Whether a process that should run has ended. The lock: while `launch` starts one, the one before is here."""
        with self._lock:
            code = self.process.poll() if self.process is not None else None
            if code is None or not self._wanted:
                return False
            self.own_ends.append(code)
            return True

    def launch(self, **_: str) -> None:
        """Start it unless it runs; do not wait."""
        with self._lock:
            if self._ended or (self.process is not None and self.process.poll() is None):
                return
            self._wanted = True
            super().launch()
            self.lives += 1

    def send(self, number: signal.Signals) -> None:
        """Send a signal. If that ends the process, it is not restarted before `launch`."""
        with self._lock:
            self._wanted = number not in (signal.SIGKILL, signal.SIGTERM)
            if self.process is not None:
                self.process.send_signal(number)

    def ended(self, seconds: float) -> bool:
        """Whether the process ends within ``seconds``."""
        assert self.process is not None
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
            return True
        return False

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def is_ready(self) -> bool:
        return self._asked_for("/readyz")

    def is_healthy(self) -> bool:
        return self._asked_for("/healthz")

    def leads(self) -> bool:
        return "\nretrainer_leader 1.0\n" in self.text("/metrics")

    def _asked_for(self, path: str) -> bool:
        try:
            return self.answer("GET", path, timeout=3)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def text(self, path: str) -> str:
        """The response body, empty if there is none."""
        try:
            return self.answer("GET", path, timeout=5)[1].decode()
        except (OSError, http.client.HTTPException):
            return ""

    def answer(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None,
        timeout: float = 15.0,
    ) -> tuple[int, bytes]:  # fmt: skip
        """Return status and body, on a new connection. Raise OSError or HTTPException if there is no response."""
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            conn.request(method, path, body, dict(headers or {}))
            found = conn.getresponse()
            return found.status, found.read()
        finally:
            conn.close()

    def usage(self) -> dict[str, float]:
        """Resident MiB, threads, and open descriptors by kind. Raise OSError or StopIteration without a process."""
        status = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        found = {name: next(int(line.split()[1]) for line in status if line.startswith(f"{name}:")) for name in STATUS}
        links = [str(link.readlink()) for link in Path(f"/proc/{self.pid}/fd").iterdir() if link.is_symlink()]
        sockets = sum(link.startswith(SOCKET) for link in links)
        return {
            "resident": found["VmRSS"] / 1024,
            "threads": found["Threads"],
            "descriptors": len(links),
            "sockets": sockets,
        }

    def close(self) -> None:
        self._ended, self._wanted = True, False
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.kill()
            self.process.wait()
        self._keeper.join()

    def odd_ends(self) -> list[int]:
        """Exit codes that indicate an error. The exit after losing the lead is not one of them."""
        return [code for code in self.own_ends if code != LOST]


STATUS = ("VmRSS", "Threads")


def get_json(replica: Replica, path: str) -> Any:
    """Return the parsed response. Raise OSError for an error status."""
    status, body = replica.answer("GET", path)
    if status != 200:
        raise OSError(f"{path}: {status}")
    return orjson.loads(body)
