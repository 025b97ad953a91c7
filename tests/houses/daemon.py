"""The daemon as users run it: a separate process with settings, rules and templates in a folder."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

MAIN = "import sys; from retrainer.daemon.main import main; sys.exit(main(sys.argv[1]))"


class DaemonProcess:
    """One daemon. It keeps its folder, settings and log across kills and restarts.

    ``settings`` are written into the folder unless they are there. With the port 0, the log has the address.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any] | None = None) -> None:
        self.folder, self.log, self.settings = folder, folder / "log", folder / "retrainer.yaml"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = 0
        self._before = 0
        if settings is not None:
            self.settings.write_text(json.dumps(settings))  # JSON is YAML
            self.port = settings["http"]["port"]
        self._connect()

    cwd: Path | None = None
    stops_within = 25.0

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-c", MAIN, str(self.settings)]

    def _connect(self) -> None:
        self.http = httpx.Client(base_url=self.url or "http://none", timeout=30, trust_env=False)

    def launch(self, **environment: str) -> None:
        """Start without waiting. ``environment`` is added to this process's, for example to arm failpoints."""
        self._before = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            env = {**os.environ, **environment}
            self.process = subprocess.Popen(self.command, cwd=self.cwd, env=env, stdout=log, stderr=log)

    def start(self, **environment: str) -> None:
        """Start, and return once the daemon is ready or has exited."""
        self.launch(**environment)
        until(lambda: self._address() or self.exit_code is not None, "ready", 120)
        if not self.port:
            self.http.close()
            self._connect()

    def ready(self) -> None:
        until(self._is_ready, "the daemon is ready", 60)

    def _is_ready(self) -> bool:
        assert self.running, f"the daemon ended by itself:\n{self.said()[-3000:]}"
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    @property
    def url(self) -> str:
        """Empty before it is known."""
        return f"http://127.0.0.1:{self.port}" if self.port else self._address()

    def _address(self) -> str:
        found = re.search(r'"event": "daemon.ready", "url": "([^"]+)"', self.said())
        return found[1] if found else ""

    def said(self) -> str:
        """The output of the daemon since its start."""
        return self.log.read_bytes()[self._before :].decode() if self.log.exists() else ""

    def lines(self) -> list[dict[str, Any]]:
        """The log lines since its start."""
        return [json.loads(line) for line in self.said().splitlines()]

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative for a signal."""
        assert self.process is not None, "not started"
        return self.process.poll()

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def send(self, number: signal.Signals) -> None:
        assert self.process is not None, "not started"
        self.process.send_signal(number)

    def died(self, seconds: float = 150) -> int:
        """Wait until it exits by itself; return its exit code, negative for a signal."""
        assert self.process is not None, "not started"
        return self.process.wait(seconds)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Stop it as Kubernetes does, or with another signal; return its exit code."""
        if self.running:
            self.send(number)
        return self.died(self.stops_within)

    def kill(self) -> None:
        """Kill it, as a crash does. One that is frozen is thawed."""
        if self.running:
            self.send(signal.SIGCONT)
            self.send(signal.SIGKILL)
            self.died()

    def close(self) -> None:
        self.kill()
        self.http.close()

    def cli(self, *arguments: str) -> str:
        """Run a command of the CLI against the daemon; return its output."""
        command = [sys.executable, "-m", "retrainer.cli.main", "--url", self.url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.http.get(f"/api/v1/{path}", params=query)
        assert answer.is_success, answer.text
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    def metric(self, name: str) -> float | None:
        """The value of a series, None if there is none."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.http.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else None


class ProjectDaemon(DaemonProcess):
    """`retrainer run` in a folder that `retrainer init` wrote."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.cwd = folder

    @property
    def command(self) -> list[str]:
        return [sys.executable, "-m", "retrainer.cli.main", "run"]

    def first_run(self) -> dict[str, Any] | None:
        """The first run, after it has ended."""
        assert self.running, self.said()[-4000:]
        return next((run for run in self.items("runs") if run["ended_at"] is not None), None)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
