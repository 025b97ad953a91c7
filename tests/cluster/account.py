"""A steady load on replicas, and a judge that is independent of them.

The load is numbered, by webhook and in a Kafka topic. Each run takes ten numbers, and lists them in a parameter of
its Workflow. So the Workflows in the cluster, read independently of the daemons, are the complete account.
"""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from kafka import KafkaProducer

from retrainer.workflows.argo.api_server import ApiRequest, ApiServer

from .conftest import KUBECONFIG, audited, until
from .replicas import BATCH, PARTITIONS, TOPIC
from .test_chart_sources import KAFKA, NODE

if TYPE_CHECKING:
    from collections.abc import Callable

    from .replicas import Replicas

PACE = 0.1
"""Seconds between two numbers of a channel."""
PAGE = 500
CAUGHT_UP = 300.0
"""Seconds for Argo's controller to finish what was created while it did not watch: it makes 20 requests a second, and
waits for more than a minute until it lists again after the API server was away."""
LOOK_EVERY = 1.0
"""Seconds between two polls of the judge, which lists all Workflows."""


class Channel:
    """Sends the numbers 0, 1, 2 … in order, each until it is accepted. ``sent`` is the number of accepted ones."""

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
        """Stop at the end of a batch; return how many numbers were accepted."""
        self._going.clear()
        assert self._whole.wait(60), "the load was not accepted to the end"
        return self.sent

    def more(self, count: int) -> None:
        """Wait until ``count`` more numbers are accepted."""
        wanted = self.sent + count
        until(lambda: self.sent >= wanted, 90)

    def end(self) -> None:
        self._over.set()
        self._thread.join()


class Load:
    """Both channels at once."""

    def __init__(self, release: Replicas) -> None:
        self._producer = KafkaProducer(bootstrap_servers=f"{NODE}:{KAFKA}", acks="all", client_id="load")
        self.posted = Channel(release.post)
        self.produced = Channel(self._produce)

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
    """Counts the Workflows in the cluster. Nothing removes Workflows in these tests."""

    def __init__(self, namespace: str) -> None:
        self._namespace = namespace
        self._path = f"/apis/argoproj.io/v1alpha1/namespaces/{namespace}/workflows"
        self._api = ApiServer(str(KUBECONFIG), connections=1, timeout=30)

    def workflows(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        token = ""
        while True:
            page = self._api.send(ApiRequest("GET", self._path, fields={"limit": str(PAGE), "continue": token}))
            found += page["items"]
            if not (token := page["metadata"].get("continue", "")):
                return found

    def taken(self, rule: str) -> Counter[int]:
        """How often each number of a channel was taken by a run."""
        mine = (one for one in self.workflows() if one["metadata"]["labels"]["retrainer.dev/rule"] == rule)
        return Counter(number for one in mine for number in json.loads(parameter(one, "took")))

    def slots(self) -> list[datetime]:
        mine = (one for one in self.workflows() if one["metadata"]["labels"]["retrainer.dev/rule"] == "minutely")
        return sorted(datetime.fromisoformat(parameter(one, "slot")) for one in mine)

    def over(self) -> set[str]:
        """Names of succeeded Workflows without a finalizer: their outcome is stored."""
        return {
            one["metadata"]["name"]
            for one in self.workflows()
            if one.get("status", {}).get("phase") == "Succeeded" and not one["metadata"].get("finalizers")
        }

    def settle(self, load: Load) -> None:
        """Wait until the load is processed: each number once, each minute once, each run once and up to its end."""
        self._numbers(load)
        self._minutes()
        self._runs()

    def _numbers(self, load: Load) -> None:
        for rule, road in (("posted", load.posted), ("produced", load.produced)):
            sent = road.pause()
            with contextlib.suppress(AssertionError):  # the comparison below names what is missing
                until(lambda rule=rule, sent=sent: len(self.taken(rule)) >= sent, 120, LOOK_EVERY)
            assert self.taken(rule) == Counter(range(sent))
            road.go_on()

    def _minutes(self) -> None:
        this = datetime.now(UTC).replace(second=0, microsecond=0)
        until(lambda: self.slots()[-1:] >= [this], 60, LOOK_EVERY)
        slots = self.slots()
        assert slots == [slots[0] + timedelta(minutes=n) for n in range(len(slots))]

    def _runs(self) -> None:
        """By the API server's audit log, no name was created twice, and no created Workflow was removed."""
        made = Counter(audited(self._namespace))
        assert made == Counter(set(made))
        there = {one["metadata"]["name"] for one in self.workflows()}
        assert set(made) <= there
        until(lambda: there <= self.over(), CAUGHT_UP, LOOK_EVERY)


def parameter(workflow: dict[str, Any], name: str) -> str:
    return next(str(p["value"]) for p in workflow["spec"]["arguments"]["parameters"] if p["name"] == name)
