"""The daemon as users start it: a separate process with a configuration folder."""

from __future__ import annotations

import http.client
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import orjson

from tests.benchmarks.cluster import KUBECONFIG, TEMPLATE
from tests.houses.daemon import DaemonProcess, free_port

if TYPE_CHECKING:
    from collections.abc import Mapping

HOOK = "/hooks/push"
SOURCES: Mapping[str, Any] = {"push": {"type": "webhook", "path": HOOK}}


class Daemon(DaemonProcess):
    """Started on construction unless disabled, and killed at the end.

    Its Workflows are created in a namespace of the test cluster. Without a namespace they are local processes that end
    immediately.
    """

    stops_within = 30.0
    starts_within = 60.0

    def __init__(
        self,
        folder: Path,
        namespace: str,
        rules: list[dict[str, Any]],
        sources: Mapping[str, Any] = SOURCES,
        store: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(folder)
        self.port = free_port()
        write_configuration(folder, namespace, rules, sources, self.port, store)

    def __enter__(self) -> Self:
        self.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    @property
    def store(self) -> Path:
        return self.folder / "retrainer.db"

    def begin(self, **environment: str) -> float:
        """Start it; return the seconds until it was ready."""
        began = time.monotonic()
        self.launch(**environment)
        while not self._answers():
            if not self.running or time.monotonic() - began > self.starts_within:
                raise RuntimeError(f"the daemon is not ready: {self.said()[-2000:]}")
            time.sleep(0.01)
        return time.monotonic() - began

    def get(self, path: str) -> Any:
        """The API's response."""
        conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        conn.request("GET", path)
        answer = conn.getresponse().read()
        conn.close()
        return orjson.loads(answer)

    def resident_mib(self) -> float:
        assert self.process is not None
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS:")) / 1024

    def cpu_seconds(self) -> float:
        assert self.process is not None
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def _answers(self) -> bool:
        try:
            conn = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            conn.request("GET", "/readyz")
            return conn.getresponse().status == 200
        except OSError:
            return False
        finally:
            conn.close()


def write_configuration(
    folder: Path,
    namespace: str,
    rules: list[dict[str, Any]],
    sources: Mapping[str, Any],
    port: int,
    store: Mapping[str, Any] | None = None,
) -> Path:
    """Write settings and rules into a folder; return the path of the settings."""
    argo = {"type": "argo", "namespaces": [namespace], "kubeconfig": str(KUBECONFIG)}
    settings = {
        "version": 1,
        "name": f"bench-{namespace}"[:63].rstrip("-"),
        "rules": ["rules.yaml"],
        "engine": argo if namespace else _local_engine(folder),
        "http": {"port": port},
        **({} if store is None else {"store": store}),
    }
    path = folder / "retrainer.yaml"
    path.write_bytes(orjson.dumps(settings))  # JSON is YAML
    (folder / "rules.yaml").write_bytes(orjson.dumps({"version": 1, "sources": sources, "rules": rules}))
    return path


def _local_engine(folder: Path) -> dict[str, Any]:
    template = {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "WorkflowTemplate",
        "metadata": {"name": TEMPLATE},
        "spec": {
            "entrypoint": "end",
            "templates": [{"name": "end", "container": {"image": "none", "command": ["true"]}}],
        },
    }
    (folder / "templates").mkdir()
    (folder / "templates" / "waits.yaml").write_bytes(orjson.dumps(template))
    return {"type": "local", "templates": "templates", "runs": "runs"}


def firing_rule(name: str = "bench", source: str = "push") -> dict[str, Any]:
    """A rule in which each event starts a run with the event's id as parameter."""
    return {
        "name": name,
        "triggers": {"each": {"data": {"source": source}}},
        "limits": {"overlap": "allow_all", "max_active": 10000},
        "submit": {"workflow_template": TEMPLATE, "parameters": {"event": "${string(events[0].data.n)}"}},
    }
