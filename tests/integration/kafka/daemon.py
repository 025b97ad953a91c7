"""The daemon as users run it: a separate process with settings, rules, templates and store in a folder."""

from __future__ import annotations

import json
import sqlite3
from typing import TYPE_CHECKING, Any

from tests.houses.daemon import DaemonProcess
from tests.integration.conftest import free_ports

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FIRST_PORT = 19400
TEMPLATE = {
    "apiVersion": "argoproj.io/v1alpha1",
    "kind": "WorkflowTemplate",
    "metadata": {"name": "train"},
    "spec": {
        "entrypoint": "main",
        "templates": [{"name": "main", "container": {"image": "any", "command": ["true"]}}],
    },
}


class Daemon(DaemonProcess):
    """A daemon with these sources and rules, on the local engine."""

    def __init__(self, folder: Path, sources: dict[str, Any], rules: Sequence[dict[str, Any]]) -> None:
        settings = {
            "version": 1,
            "rules": ["rules.yaml"],
            "engine": {"type": "local", "templates": "templates", "runs": "runs"},
            "store": {"path": "retrainer.db"},
            "http": {"port": free_ports(FIRST_PORT, 1)},
        }
        super().__init__(folder, settings)
        (folder / "templates").mkdir()
        (folder / "templates" / "train.yaml").write_text(json.dumps(TEMPLATE))  # JSON is YAML
        self.write(sources, rules)

    def write(self, sources: dict[str, Any], rules: Sequence[dict[str, Any]]) -> None:
        (self.folder / "rules.yaml").write_text(json.dumps({"version": 1, "sources": sources, "rules": list(rules)}))

    def of_source(self, name: str, source: str) -> float | None:
        """Return a metric of a source, None if there is no such series."""
        return self.metric(f'{name}{{source="{source}"}}')

    def query(self, sql: str) -> list[Any]:
        """Query the store, preferably while the daemon is down."""
        with sqlite3.connect(self.folder / "retrainer.db") as conn:
            rows = conn.execute(sql).fetchall()
        conn.close()
        return rows
