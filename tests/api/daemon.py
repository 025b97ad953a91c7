"""A daemon with something in each of its lists: rules, keys, events, runs, slots, decisions and dead letters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.houses.daemon import DaemonProcess
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

TOKEN = "a-token-of-the-test"
READ_TOKEN = "a-token-that-only-reads"
# A run succeeds or fails as its parameter says.
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: exit_code, value: "0"}]}
  templates:
    - name: main
      inputs: {parameters: [{name: exit_code}]}
      container: {image: "busybox:1", command: [sh, -c, 'exit "$0"', "{{inputs.parameters.exit_code}}"]}
"""
SUBMIT = {"workflow_template": "train", "parameters": {"exit_code": "0"}}
SOURCES = {
    "push": {"type": "webhook", "path": "/hooks/push", "id": "data.id"},
    "events": {"type": "webhook", "path": "/hooks/events", "format": "cloudevents", "max_silence": "1h"},
    "alerts": {"type": "alertmanager", "path": "/hooks/alerts"},
    "lake": {"type": "directory", "path": "lake", "polling_interval": "1s"},
}
RULES: list[dict[str, Any]] = [
    {
        "name": "churn",
        "labels": {"team": "growth"},
        "triggers": {
            "rows": {"data": {"source": "push", "batch": {"at_least": {"events": 2}}, "match": {"data.kind": "rows"}}},
            "nightly": {"schedule": {"cron": "0 2 * * *"}},
        },
        "for_each": {"by": {"rows": "event.data.customer"}},
        "submit": SUBMIT,
    },
    {
        "name": "basket",
        "triggers": {
            "drift": {"metric": {"source": "push", "value": "event.data.psi", "above": 0.2}},
            "night": {"schedule": {"cron": "0 3 * * *"}},
        },
        "submit": SUBMIT,
    },
    {"name": "resting", "mode": "paused", "triggers": {"d": {"data": {"source": "lake"}}}, "submit": SUBMIT},
    {"name": "seen", "mode": "shadow", "triggers": {"d": {"data": {"source": "events"}}}, "submit": SUBMIT},
]


class FilledDaemon(DaemonProcess):
    """A daemon that needs a token, on the local engine."""

    def __init__(self, folder: Path) -> None:
        engine = {"type": "local", "templates": "templates", "runs": "runs"}
        base = {"version": 1, "rules": ["rules.yaml"], "engine": engine, "store": {"path": "store.db"}}
        tokens = {"token": {"from_file": "token"}, "read_token": {"from_file": "read_token"}}
        super().__init__(folder, base | {"http": {"port": 0, "max_wrong_tokens": 100_000, **tokens}})
        for name in ("templates", "lake"):
            (folder / name).mkdir()
        (folder / "token").write_text(TOKEN)
        (folder / "read_token").write_text(READ_TOKEN)
        (folder / "templates/train.yaml").write_text(TEMPLATE)
        (folder / "rules.yaml").write_text(json.dumps({"version": 1, "sources": SOURCES, "rules": RULES}))
        (folder / "lake/one.csv").write_text("a,b\n")
        self.cwd = folder

    def _connect(self) -> None:
        super()._connect()
        self.http.headers["Authorization"] = f"Bearer {TOKEN}"

    def fill(self) -> None:
        """Deliver events and orders, and return once runs have ended with and without success."""
        for number in range(8):
            customer = {"kind": "rows", "customer": "de" if number % 2 else "fr"}
            self._push({"id": f"rows-{number}", **customer})
        self._push({"id": "psi", "psi": 0.3}, {"id": "other", "kind": "nothing"})
        self._hook("push", b"{broken")
        event = {"specversion": "1.0", "id": "e1", "source": "tests", "type": "made", "data": {"rows": 3}}
        self._hook("events", json.dumps(event).encode(), "application/cloudevents+json")
        self._ask("rules/basket/trigger", {"parameters": {"exit_code": "1"}, "by": "test"})
        self._ask("rules/basket/backfills", {"from": "3d", "key": ""})
        self._ask("rules/seen/pause", {"note": "while the test runs"})
        until(lambda: {"SUCCEEDED", "FAILED"} <= {run["phase"] for run in self.items("runs")}, "runs ended", 60)

    def _push(self, *events: dict[str, Any]) -> None:
        for event in events:
            self._hook("push", json.dumps(event).encode())

    def _hook(self, name: str, body: bytes, kind: str = "application/json") -> None:
        answer = self.http.post(f"/hooks/{name}", content=body, headers={"Content-Type": kind})
        assert answer.status_code == 202, answer.text

    def _ask(self, path: str, body: dict[str, Any]) -> None:
        answer = self.http.post(f"/api/v1/{path}", json=body)
        assert answer.is_success, answer.text
