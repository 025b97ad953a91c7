"""Two replicas of the chart on one PostgreSQL, a steady load on both, and a judge who believes neither.

The load is numbered, by webhook and in a Kafka topic; each run takes ten numbers and says which, as a parameter of its
Workflow. So the Workflows that are in the cluster, asked for by somebody else, are the whole account.
"""

from __future__ import annotations

import json
import os
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
from kafka import KafkaProducer
from kafka.admin import KafkaAdminClient, NewTopic

from retrainer.workflows.argo_http import ApiServer
from tests.integration.postgres.server import PASSWORD, Postgres

from .conftest import KUBECONFIG, audited, kubectl, until
from .release import Release
from .test_chart_sources import KAFKA, NODE

if TYPE_CHECKING:
    import signal
    from collections.abc import Callable

POSTGRES = 19592
TOPIC = "numbers"
PARTITIONS = 4
"""Each of the replicas has some."""
BATCH = 10
"""Numbers of a run."""
PACE = 0.1
"""Seconds between two numbers of a road."""
PAGE = 500
LOOK_EVERY = 1.0
"""Seconds between two looks of the judge, who asks for all Workflows there are."""
# Ends at once and needs no pod: its only step is left out.
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
    """A release with two pods; ``container`` facts are those of the node, where its processes are seen."""

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
        """Return once it is ready to read the topic."""
        admin = KafkaAdminClient(bootstrap_servers=f"{NODE}:{KAFKA}")
        admin.create_topics([NewTopic(TOPIC, PARTITIONS, 1)])
        admin.close()
        super().install()

    def connect(self) -> None:
        """Nobody in particular is asked."""
        address = self.get("service", "retrainer")["spec"]["clusterIP"]
        if self._http.base_url.host == address:  # an upgrade leaves the Service where it is, and the load goes on
            return
        self._http.close()
        # A connection of its own for each request, as from many senders: the Service chooses the pod.
        self._http = httpx.Client(
            base_url=f"http://{address}:8080",
            timeout=5.0,
            trust_env=False,
            limits=httpx.Limits(max_keepalive_connections=0),
        )

    def pods(self) -> list[dict[str, Any]]:
        """Those that are not on their way out."""
        pods = self.get("pods", "-l", "app.kubernetes.io/name=retrainer")["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def holder(self) -> dict[str, Any]:
        """Await that one of the pods says it has the lead, and no other."""

        def look() -> dict[str, Any] | None:
            leading = [pod for pod in self.pods() if leads(pod)]
            return leading[0] if len(leading) == 1 else None

        return dict(until(look, 90))

    def ready(self) -> None:
        """Await that both take part."""

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
    """How its container ended last: an exit code; None if it has not ended since ``pod`` was read."""
    now = release.get("pod", pod["metadata"]["name"])["status"]["containerStatuses"][0]
    if now["restartCount"] == pod["status"]["containerStatuses"][0]["restartCount"]:
        return None
    return int(now["lastState"]["terminated"]["exitCode"])


def signalled(pod: dict[str, Any], number: signal.Signals) -> None:
    os.kill(process_of(pod), number)


class Road:
    """Sends 0, 1, 2 … one after the other, each until it was accepted; ``sent`` is how many were."""

    def __init__(self, send: Callable[[int], bool]) -> None:
        self.sent = 0
        self._send = send
        self._going = threading.Event()
        self._over = threading.Event()
        self._whole = threading.Event()
        self._thread = threading.Thread(target=self._main)
        self._thread.start()
        self.go_on()

    def _main(self) -> None:
        while not self._over.wait(PACE):
            if self.sent % BATCH == 0 and not self._going.is_set():
                self._whole.set()
                continue
            if self._send(self.sent):
                self.sent += 1

    def go_on(self) -> None:
        self._whole.clear()
        self._going.set()

    def pause(self) -> int:
        """Stop at the end of a batch; return how many numbers are on their way or through."""
        self._going.clear()
        assert self._whole.wait(60), "the load was not accepted to the end"
        return self.sent

    def more(self, count: int) -> None:
        """Await that so many more are accepted."""
        wanted = self.sent + count
        until(lambda: self.sent >= wanted, 90)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


class Load:
    """Both roads at once."""

    def __init__(self, release: Replicas) -> None:
        self._producer = KafkaProducer(bootstrap_servers=f"{NODE}:{KAFKA}", acks="all", client_id="load")
        self.posted = Road(release.post)
        self.produced = Road(self._produce)

    def _produce(self, number: int) -> bool:
        record = json.dumps({"n": number}).encode()
        self._producer.send(TOPIC, record, partition=number % PARTITIONS).get(30)
        return True

    def more(self, count: int) -> None:
        self.posted.more(count)
        self.produced.more(count)

    def end(self) -> None:
        self.posted.end()
        self.produced.end()
        self._producer.close()


class Judge:
    """Counts what is in the cluster: nobody takes a Workflow away here."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
        self._api = ApiServer(str(KUBECONFIG), connections=1, timeout=30)

    def workflows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._api.request("GET", self._path, fields={"limit": str(PAGE), "continue": token})
            found += page["items"]
            if not (token := page["metadata"].get("continue", "")):
                return found

    def taken(self, rule: str) -> Counter[int]:
        """How often each number of a road was taken by a run."""
        mine = (one for one in self.workflows() if one["metadata"]["labels"]["retrainer.dev/rule"] == rule)
        return Counter(number for one in mine for number in json.loads(parameter(one, "took")))

    def slots(self) -> list[datetime]:
        mine = (one for one in self.workflows() if one["metadata"]["labels"]["retrainer.dev/rule"] == "minutely")
        return sorted(datetime.fromisoformat(parameter(one, "slot")) for one in mine)

    def over(self) -> set[str]:
        """Names of those that succeeded and that nobody keeps any more: their outcome is stored."""
        return {
            one["metadata"]["name"]
            for one in self.workflows()
            if one.get("status", {}).get("phase") == "Succeeded" and not one["metadata"].get("finalizers")
        }

    def settle(self, load: Load) -> None:
        """Let what was sent come through: each number once, each minute once, each run once and followed to its end."""
        self._numbers(load)
        self._minutes()
        self._runs()

    def _numbers(self, load: Load) -> None:
        for rule, road in (("posted", load.posted), ("produced", load.produced)):
            sent = road.pause()
            until(lambda rule=rule, sent=sent: len(self.taken(rule)) >= sent, 120, LOOK_EVERY)
            assert self.taken(rule) == Counter(range(sent))
            road.go_on()

    def _minutes(self) -> None:
        this = datetime.now(UTC).replace(second=0, microsecond=0)
        until(lambda: self.slots()[-1:] >= [this], 60, LOOK_EVERY)
        slots = self.slots()
        assert slots == [slots[0] + timedelta(minutes=n) for n in range(len(slots))]

    def _runs(self) -> None:
        """By the API server's own record, nothing was made twice under a name, nor made and taken away again."""
        made = Counter(audited(self._namespace))
        assert made == Counter(set(made))
        there = {one["metadata"]["name"] for one in self.workflows()}
        assert set(made) <= there
        until(lambda: there <= self.over(), 120, LOOK_EVERY)


def parameter(workflow: dict[str, Any], name: str) -> str:
    return next(str(p["value"]) for p in workflow["spec"]["arguments"]["parameters"] if p["name"] == name)
