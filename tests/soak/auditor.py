"""Polls the API for the outcome of each event during the soak, because old events are pruned meanwhile."""

from __future__ import annotations

import http.client
import re
import threading
from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

from tests.soak.daemons import get_json
from tests.soak.poison import TOPICS
from tests.soak.rules import ALERT, HIGH, LOW, ROADS

if TYPE_CHECKING:
    from tests.soak.daemons import Replica

LOOK_EVERY = 3.0
PAGE = 1000
PLACE = re.compile(r":(\d+):(\d+)$")
RUNS_PAGE = 200
PATIENT = 50
"""Maximum number of runs that are queried one by one."""
KEPT = ("id", "rule", "phase", "uid", "workflow", "message")
ENDED = frozenset({"SUCCEEDED", "FAILED", "ERROR", "CANCELLED", "SKIPPED", "UNKNOWN"})


class Auditor:
    """The API's answers. ``told`` has the outcomes of each number of a channel, ``runs`` the last state of each run.

    ``places`` has source, partition and offset of all records that became events or dead letters.
    """

    def __init__(self, replicas: list[Replica]) -> None:
        self._replicas = replicas
        self._turn = 0
        self.told: dict[str, dict[Any, list[str]]] = {road: defaultdict(list) for road in ROADS}
        self.outcomes: Counter[tuple[str, str]] = Counter()
        self.places: set[tuple[str, int, int]] = set()
        self.reasons: Counter[str] = Counter()
        self.runs: dict[str, dict[str, Any]] = {}
        self.crossings = 0
        """How often the alert was reported as firing for the first time or after it was resolved."""
        self.looks = self.failed_looks = 0
        self.backwards: list[str] = []
        self._starts: dict[str, str] = {}
        self._last: dict[tuple[str, str], float] = {}
        self._seq = self._letter = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="auditor", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            try:
                self.look()
            except (OSError, http.client.HTTPException):  # the replica was killed during the poll: poll again
                self.failed_looks += 1

    def look(self) -> None:
        """Read everything new. Raise OSError if the replica polled in this turn does not answer."""
        with self._lock:
            self._turn += 1
            replica = self._replicas[self._turn % len(self._replicas)]
            for event in self._new(replica, "/api/v1/events", "seq", self._seq):
                self._event(event)
                self._seq = max(self._seq, event["seq"])
            for letter in self._new(replica, "/api/v1/dead-letters", "id", self._letter):
                self._letter_at(letter["source"], letter["event"])
                self.reasons[letter["reason"]] += 1
                self._letter = max(self._letter, letter["id"])
            self._runs(replica)
            self.looks += 1

    def _new(self, replica: Replica, path: str, number: str, known: int) -> list[dict[str, Any]]:
        """The items after the last known one, oldest first."""
        found: list[dict[str, Any]] = []
        cursor = ""
        while True:
            page = get_json(replica, f"{path}?limit={PAGE}{cursor}")
            fresh = [item for item in page["items"] if item[number] > known]
            found += fresh
            if len(fresh) < len(page["items"]) or page["next"] is None:
                return found[::-1]
            cursor = f"&cursor={page['next']}"

    def _event(self, event: dict[str, Any]) -> None:
        source, data = event["source"], event["data"]
        self.outcomes[source, event["outcome"]] += 1
        # On other channels an event may have an unrelated attribute of this name; a sweep's event has none.
        if source in TOPICS and (record := event["attributes"].get("kafka")):
            self.places.add((source, record["partition"], record["offset"]))
        if source in ("push", "records") and isinstance(number := data.get("n"), int) and "group" in data:
            self.told[source][number].append(event["outcome"])
        elif source in ("lake", "pond") and event["type"].startswith("s3:ObjectCreated") and data["key"][:2] == "m-":
            self.told[source][data["key"]].append(event["outcome"])
        elif source == "values" and isinstance(data.get("value"), float):
            self._last[source, str(data.get("model"))] = data["value"]
        elif source == "alerts":
            self._alert(event)
        elif source == "drift":
            for series in data.get("series", ()):
                self._last[source, str(series["labels"].get("model"))] = series["value"]

    def _letter_at(self, source: str, event: str) -> None:
        """A record without an id is identified by topic, partition and offset."""
        if found := PLACE.search(event):
            self.places.add((source, int(found[1]), int(found[2])))

    def _alert(self, event: dict[str, Any]) -> None:
        model = str(dict(event["data"].get("labels") or {}).get("model"))
        if (starts := str(event["data"].get("startsAt"))) < self._starts.get(model, ""):
            return  # late report of an alert that has started again since
        self._starts[model] = starts
        level = HIGH if event["type"] == "alertmanager.firing" else LOW
        self.crossings += model == ALERT and level == HIGH and self._last.get(("alerts", model)) != HIGH
        self._last["alerts", model] = level

    def _runs(self, replica: Replica) -> None:
        """Read pages until one has nothing new: ended runs do not change. Query older active runs one by one."""
        waiting = set(self.open_runs())
        cursor = ""
        while True:
            page = get_json(replica, f"/api/v1/runs?limit={RUNS_PAGE}{cursor}")
            ids = {run["id"] for run in page["items"]}
            settled = all(self.runs.get(one, {}).get("phase") in ENDED for one in ids)
            for run in page["items"]:
                self._run(run)
            waiting -= ids
            if settled or page["next"] is None:
                break
            cursor = f"&cursor={page['next']}"
        for one in sorted(waiting)[:PATIENT]:
            self._run(get_json(replica, f"/api/v1/runs/{one}"))

    def _run(self, run: dict[str, Any]) -> None:
        known = self.runs.get(run["id"])
        if known is not None and known["phase"] in ENDED:
            if known["phase"] != run["phase"]:
                self.backwards.append(f"{run['id']}: {known['phase']}, then {run['phase']}")
            return
        self.runs[run["id"]] = {name: run[name] for name in KEPT}

    def open_runs(self) -> list[str]:
        return [run["id"] for run in list(self.runs.values()) if run["phase"] not in ENDED]

    def last_drift(self, model: str) -> float | None:
        return self._last.get(("drift", model))

    def last_alert(self, model: str) -> float | None:
        return self._last.get(("alerts", model))

    def last_value(self, model: str) -> float | None:
        return self._last.get(("values", model))
