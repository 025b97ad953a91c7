"""Two replicas of the chart on one PostgreSQL, with rules whose runs list the events that they took."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from kafka.admin import KafkaAdminClient, NewTopic

from tests.integration.postgres.server import PASSWORD, Postgres

from .conftest import kubectl, until
from .release import Release
from .test_chart_sources import KAFKA, NODE

if TYPE_CHECKING:
    import signal

POSTGRES = 19592
TOPIC = "numbers"
PARTITIONS = 4
"""Each replica reads some of them."""
BATCH = 10
"""Numbers of a run."""
# Ends immediately and needs no pod: its only step is skipped.
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: nothing}
spec:
  entrypoint: main
  arguments: {parameters: [{name: took, value: "[]"}, {name: slot, value: ""}]}
  templates:
    - name: main
      steps: [[{name: never, template: never, when: "1 == 2"}]]
    - name: never
      suspend: {}
"""
RULES = f"""
version: 1
sources:
  push: {{type: webhook, path: /hooks/push}}
  topic:
    {{type: kafka, bootstrap_servers: ["{NODE}:{KAFKA}"], topics: [{TOPIC}], group_id: retrainer, start: earliest}}
defaults:
  limits: {{overlap: allow_all, max_active: 1000}}
rules:
  - name: posted
    triggers: {{ten: {{data: {{source: push, batch: {{at_least: {{events: {BATCH}}}}}}}}}}}
    submit: {{workflow_template: nothing, parameters: {{took: "${{events.map(e, e.data.n)}}"}}}}
  - name: produced
    triggers: {{ten: {{data: {{source: topic, batch: {{at_least: {{events: {BATCH}}}}}}}}}}}
    submit: {{workflow_template: nothing, parameters: {{took: "${{events.map(e, e.data.n)}}"}}}}
  - name: minutely
    triggers: {{minute: {{schedule: {{cron: "* * * * *", recover_missed: all}}}}}}
    submit: {{workflow_template: nothing, parameters: {{slot: "${{string(trigger.scheduled_at)}}"}}}}
"""


class Replicas(Release):
    """A release with two pods, and its connections."""

    def __init__(self, namespace: str, postgres: Postgres, database: str, **values: Any) -> None:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "database", "namespace": namespace},
            "stringData": {"password": PASSWORD},
        }
        kubectl("apply", "-f", "-", given=json.dumps(secret))
        url = postgres.url(database).replace("postgresql+psycopg", "postgresql")
        super().__init__(
            namespace,
            replicaCount=2,
            postgresql={"url": url, "existingSecret": "database"},
            rules={"all": RULES},
            **values,
        )

    def install(self) -> None:
        """Install the chart; return once it is ready to read the topic."""
        admin = KafkaAdminClient(bootstrap_servers=f"{NODE}:{KAFKA}")
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
        admin.close()
        super().install()

    def connect(self) -> None:
        """Connect to the Service, not to a particular pod."""
        address = self.get("service", "retrainer")["spec"]["clusterIP"]
        if self._http.base_url.host == address:  # an upgrade keeps the Service's address, and the load continues
            return
        self._http.close()
        # One connection for each request, as from many senders: the Service chooses the pod.
        self._http = httpx.Client(
            base_url=f"http://{address}:8080",
            timeout=5.0,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def pods(self) -> list[dict[str, Any]]:
        """The pods that are not terminating."""
        pods = self.get("pods", "-l", "app.kubernetes.io/name=retrainer")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def holder(self) -> dict[str, Any]:
        """Wait until exactly one of the pods reports that it is the leader; return it."""

        def look() -> dict[str, Any] | None:
            leading = [pod for pod in self.pods() if leads(pod)]
            return leading[0] if len(leading) == 1 else None

        return dict(until(look, 90))

    def ready(self) -> None:
        """Wait until both replicas are ready."""

        def look() -> bool:
            states = [pod["status"].get("containerStatuses", [{}])[0].get("ready") for pod in self.pods()]
            return states == [True, True]

        until(look, 180)

    def post(self, number: int) -> bool:
        """Whether it was accepted."""
        try:
            answer = self._http.post("/hooks/push", json={"n": number}, headers={"Idempotency-Key": f"n-{number}"})
        except httpx.TransportError:
            return False
        assert answer.status_code in (202, 503), answer.text
        return answer.status_code == 202


def leads(pod: dict[str, Any]) -> bool:
    try:
        text = httpx.get(f"http://{pod['status']['podIP']}:8080/metrics", timeout=2, trust_env=False).text
    except (httpx.TransportError, KeyError):
        return False
    return "\nretrainer_leader 1.0\n" in text


def process_of(pod: dict[str, Any]) -> int:
    """The daemon's process on the node."""
    uid = pod["metadata"]["uid"]
    for folder in Path("/proc").iterdir():
        try:
            if uid in (folder / "cgroup").read_text() and b"retrainer" in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except (OSError, ValueError):
            continue
    raise AssertionError(f"no process of pod {pod['metadata']['name']} runs here")


def ended(release: Release, pod: dict[str, Any]) -> int | None:
    """The last exit code of its container; None if it has not exited since ``pod`` was read."""
    now = release.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"][0]
    if now["restartCount"] == pod["status"]["containerStatuses"][0]["restartCount"]:
        return None
    return int(now["lastState"]["terminated"]["exitCode"])


def signalled(pod: dict[str, Any], number: signal.Signals) -> None:
    os.kill(process_of(pod), number)
