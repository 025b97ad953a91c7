"""The daemon as users run it: a separate process with settings, rules, templates and store in a folder."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

from tests.integration.conftest import free_ports
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIRST_PORT = 19400
MAIN = "import sys; from retrainer.daemon.main import main; sys.exit(main(sys.argv[1]))"
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "train"},
    "spec": {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "any", "command": ["true"]}}],
    },
}


class Daemon:
    """One daemon. It keeps its folder and port across kills and restarts."""

    def __init__(self, folder: Path, sources: dict[str, Any], rules: Sequence[dict[str, Any]]) -> None:
        self.folder = folder
        port = free_ports(FIRST_PORT, 1)
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx.Client(base_url=self.url, timeout=30.0, trust_env=False)
        self.process: subprocess.Popen[bytes] | None = None
        settings = {
            "version": 1,
            "rules": ["rules.yaml"],
            "engine": {"type": "local", "templates": "templates", "runs": "runs"},
            "store": {"path": "retrainer.db"},
            "http": {"port": port},
        }
        (folder / "templates").mkdir()
        (folder / "templates" / "train.yaml").write_text(json.dumps(TEMPLATE))  # JSON is YAML
        (folder / "settings.yaml").write_text(json.dumps(settings))
        self.write(sources, rules)

    def write(self, sources: dict[str, Any], rules: Sequence[dict[str, Any]]) -> None:
        (self.folder / "rules.yaml").write_text(json.dumps({"version": 1, "sources": sources, "rules": list(rules)}))

    def start(self, crash_at: str = "", **more: str) -> None:
        """Start without waiting. `crash_at` arms a crash point; ``more`` is added to the environment."""
        command = [sys.executable, "-c", MAIN, str(self.folder / "settings.yaml")]
        with (self.folder / "log").open("ab") as log:
            environment = {**os.environ, "RETRAINER_CRASH_AT": crash_at, **more}
            self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def ready(self) -> None:
        until(self._is_ready, "the daemon is ready", 60)

    def _is_ready(self) -> bool:
        assert self.running, f"the daemon ended by itself:\n{(self.folder / 'log').read_text()[-3000:]}"
        try:
            return self.http.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def stop(self) -> int:
        """Stop the daemon with a signal, and return its exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(25)

    def kill(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def close(self) -> None:
        self.kill()
        self.http.close()

    def cli(self, *arguments: str) -> str:
        """Run a command of the CLI; return its output."""
        command = [sys.executable, "-m", "retrainer.cli.main", "--url", self.url, *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def metric(self, name: str, source: str) -> float | None:
        """Return a metric of a source, None if there is no such series."""
        wanted = f'{name}{{source="{source}"}} '
        lines = self.http.get("/metrics").text.splitlines()
        return next((float(line.removeprefix(wanted)) for line in lines if line.startswith(wanted)), None)

    def query(self, sql: str) -> list[Any]:
        """Query the store, preferably while the daemon is down."""
        with sqlite3.connect(self.folder / "retrainer.db") as conn:
            rows = conn.execute(sql).fetchall()
        conn.close()
        return rows
