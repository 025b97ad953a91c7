"""The daemon as a process with the local engine, as on a user's machine."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "import sys; from retrainer.daemon.main import main; sys.exit(main(sys.argv[1]))"
# Reads its manifest from its location, and outputs the number of inputs and their keys.
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: manifest}]}
  templates:
    - name: main
      inputs: {parameters: [{name: manifest}]}
      script:
        image: python:3.11
        command: [python]
        source: |
          import json
          from urllib.request import ProxyHandler, build_opener
          address = "{{inputs.parameters.manifest}}"
          if address.startswith("s3://"):
              address = address.replace("s3://", "S3-ADDRESS/")
          with build_opener(ProxyHandler({})).open(address) as answer:
              manifest = json.load(answer)
          assert manifest["count"] == len(manifest["inputs"])
          open("/tmp/keys", "w").write(json.dumps(sorted(one["key"] for one in manifest["inputs"])))
      outputs: {parameters: [{name: keys, valueFrom: {path: /tmp/keys}}]}
"""


class Daemon:
    """One daemon. It keeps its folder and store across kills and restarts."""

    def __init__(
        self, folder: Path, s3_address: str, sources: dict[str, Any], rules: list[dict[str, Any]], **settings: Any
    ) -> None:
        self.folder, self._log = folder, folder / "log"
        (folder / "templates").mkdir()
        (folder / "templates/train.yaml").write_text(TEMPLATE.replace("S3-ADDRESS", s3_address))
        engine = {"type": "local", "templates": "templates", "runs": "runs"}
        base = {"version": 1, "rules": ["rules.yaml"], "engine": engine, "store": {"path": "store.db"}}
        self._settings = base | {"http": {"port": 0}} | settings
        (folder / "retrainer.yaml").write_text(json.dumps(self._settings))  # JSON is YAML
        (folder / "rules.yaml").write_text(json.dumps({"version": 1, "sources": sources, "rules": rules}))
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, **environment: str) -> None:
        """Start, and return once the daemon is ready or has exited."""
        command = [sys.executable, "-c", MAIN, str(self.folder / "retrainer.yaml")]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=log, stderr=log)
        until(lambda: self.url or self.exit_code is not None, "ready", 60)
        self.http = httpx.Client(base_url=self.url or "http://none", timeout=30, trust_env=False)

    @property
    def url(self) -> str:
        found = re.search(r'"event": "daemon.ready", "url": "([^"]+)"', self.said())
        return found[1] if found else ""

    @property
    def exit_code(self) -> int | None:
        assert self._process is not None, "not started"
        return self._process.poll()

    def said(self) -> str:
        """The output of the daemon since its start."""
        return self._log.read_text()

    def died(self) -> int:
        """Wait until it exits by itself; return its exit code, negative for a signal."""
        assert self._process is not None, "not started"
        self.http.close()
        return self._process.wait(60)

    def stop(self, number: int = signal.SIGTERM) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(number)
            self.died()

    def call(self, *arguments: str) -> str:
        """Run the CLI against the daemon; return its output."""
        code = "from retrainer.cli.main import main; main()"
        command = [sys.executable, "-c", code, *arguments, "--url", self.url]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer = self.http.get(f"/api/v1/{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()["items"]

    def metric(self, name: str) -> float | None:
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.http.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else None
