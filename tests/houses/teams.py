"""A daemon that a platform team shares with two product teams, `fraud` and `growth`, each with its namespace."""

from __future__ import annotations

import json
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from tests.houses.daemon import DaemonProcess
from tests.houses.daemon_in_process import furnish
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import httpx

TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  templates:
    - {name: main, script: {image: "python:3.11", command: [python], source: "print('trained')"}}
"""
RULES = """
version: 1
sources:
  fraud-lake: {type: webhook, path: /hooks/fraud, id: data.id}
  growth-lake: {type: webhook, path: /hooks/growth, id: data.id}
pools: {shared: 5}
rules:
  - name: chargeback
    triggers: {fresh: {data: {source: fraud-lake}}, nightly: {schedule: {cron: "0 2 * * *"}}}
    limits: {pool: shared}
    submit: {namespace: fraud, workflow_template: train}
  - name: uplift
    labels: {team: growth}
    triggers: {fresh: {data: {source: growth-lake}}, nightly: {schedule: {cron: "0 3 * * *"}}}
    limits: {pool: shared}
    submit: {namespace: growth, workflow_template: train}
  - name: upsell
    triggers: {fresh: {data: {source: growth-lake, match: {data.id: never}}}}
    submit: {namespace: growth, workflow_template: train}
"""
TOKENS = {
    "fraud": {"namespaces": ["fraud"], "verbs": ["read", "act"]},
    "growth": {"namespaces": ["growth"], "verbs": ["read", "act"]},
    "fraud-board": {"namespaces": ["fraud"], "verbs": ["read"]},
    "ci": {"namespaces": "all", "verbs": ["act"]},
    "platform": {"namespaces": "all", "verbs": ["read", "act", "administer"]},
}


class TeamsDaemon(DaemonProcess):
    """The token of a team is `secret-of-TEAM`; that of `http.token` is `secret-of-all`."""

    def __init__(self, folder: Path, **http: Any) -> None:
        tokens = [{"name": name, "token": {"from_file": f"tokens/{name}"}, **rights} for name, rights in TOKENS.items()]
        (folder / "tokens").mkdir()
        for name in (*TOKENS, "all"):
            (folder / f"tokens/{name}").write_text(f"secret-of-{name}\n")
        settings = {
            "version": 1,
            "rules": ["rules"],
            "engine": {"type": "local", "templates": "templates", "runs": "runs"},
            "store": {"path": "store.db"},
            "http": {"port": 0, "token": {"from_file": "tokens/all"}, "tokens": tokens, **http},
            "reload_interval": "200ms",
        }
        furnish(folder, json.dumps(settings), RULES, TEMPLATE)
        super().__init__(folder)

    def ask(self, team: str, method: str, path: str, **request: Any) -> httpx.Response:
        """Send a request with the token of a team, without one for an empty name."""
        headers = {**self.token_of(team), **request.pop("headers", {})}
        return self.http.request(method, path, headers=headers, **request)

    @staticmethod
    def token_of(team: str) -> dict[str, str]:
        return {"Authorization": f"Bearer secret-of-{team}"} if team else {}

    def get(self, team: str, path: str, **query: Any) -> Any:
        answer = self.ask(team, "GET", f"/api/v1/{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def run_of(self, rule: str, team: str = "all") -> str:
        """Return the id of a run of a rule, once it has ended."""
        return str(
            until(
                lambda: next((r["id"] for r in self.get(team, "runs", rule=rule)["items"] if r["ended_at"]), None),
                f"a run of {rule} ends",
                60,
            )
        )

    def settle(self) -> None:
        """Let each team have an event, a run and a dead letter."""
        for team in ("fraud", "growth"):
            answer = self.http.post(f"/hooks/{team}", json={"id": f"of-{team}"})
            assert answer.status_code == 202, answer.text
            self.http.post(f"/hooks/{team}", json=f"letter-of-{team}")
        for rule in ("chargeback", "uplift"):
            self.run_of(rule)


@contextmanager
def teams(folder: Path) -> Iterator[TeamsDaemon]:
    """Run the daemon until the block ends. Its first events have been decided."""
    daemon = TeamsDaemon(folder)
    try:
        daemon.start()
        daemon.ready()
        daemon.settle()
        yield daemon
    finally:
        daemon.close()
