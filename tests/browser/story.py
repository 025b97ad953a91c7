"""Three days of two teams on a daemon whose time passes only when the story says so: the same each time it is told."""

from __future__ import annotations

import math
import os
import re
import sys
from functools import partial
from typing import TYPE_CHECKING
from unittest.mock import patch

from retrainer.util.clock import SystemClock
from retrainer.workflows.local import run_folder, runners
from retrainer.workflows.local.isolation import environment_of_runner
from tests.browser.conftest import ROOT, House
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import httpx

BEGIN = 1_772_409_600.0
"""2026-03-02T00:00:00Z, a Monday."""
MINUTE, HOUR = 60.0, 3600.0
RULES = """
version: 1
sources:
  lake: {type: webhook, path: /hooks/push, format: cloudevents}
pools: {gpu: 1}
budgets: {nightly-gpu: {runs: 10, per: 7d}}
calendars:
  quarter-end: {dates: [2026-03-27/2026-04-03]}
  release-freeze: {dates: [2026-03-06]}
defaults: {submit: {workflow_template: train, parameters: {model: "${rule.name}"}}}
rules:
  - name: churn
    description: Customers who are likely to leave within 30 days
    labels: {team: growth}
    triggers:
      new_data: {data: {source: lake, match: {kind: file, model: churn}, batch: {at_least: {events: 40}, max_wait: 4d}}}
      drift: {metric: {source: lake, match: {kind: psi, model: churn}, above: 0.2, clear: 0.1}}
    limits: {cooldown: {period: 6h}, budget: {runs: 8, per: 7d}, mute: [quarter-end], pause_after_failures: 3}
    submit:
      workflow_template: train
      parameters: {model: "${rule.name}", reason: "${trigger.reason}"}
      outputs:
        auc: {parameter: auc, type: number, help: Area under the ROC curve on the hold-out set}
        promoted: {parameter: promoted, type: boolean}
    feedback: {promoted: outputs.promoted}
  - name: fraud
    description: Card payments that are blocked before they are settled
    labels: {team: risk}
    triggers: {chargebacks: {data: {source: lake, match: {kind: chargeback}, batch: {at_least: {events: 5}}}}}
    limits: {pause_after_failures: 2}
    submit: {workflow_template: broken}
  - name: recommend
    description: What is shown on the first page of the shop
    labels: {team: growth}
    triggers: {new_data: {data: {source: lake, match: {kind: file, model: recommend}, batch: {at_least: {events: 3}}}}}
    limits: {pool: gpu, budget: nightly-gpu}
  - name: search-ranking
    labels: {team: growth}
    triggers: {new_data: {data: {source: lake, match: {kind: file, model: search}, batch: {at_least: {events: 3}}}}}
    limits: {pool: gpu, priority: -1}
  - name: credit-score
    description: Scores of applications; not retrained while a release is frozen
    labels: {team: risk}
    triggers: {nightly: {schedule: {cron: "30 2 * * *", timezone: Europe/Berlin}}}
    limits: {mute: [release-freeze]}
  - name: churn-report
    labels: {team: growth}
    triggers: {promoted: {after: {rule: churn, outcome: promoted}}}
"""
TEMPLATES = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: model}, {name: reason, value: ""}]}
  templates:
    - name: main
      dag:
        tasks:
          - {name: load, template: load}
          - {name: train, template: fit, depends: load}
          - {name: evaluate, template: evaluate, depends: train}
      outputs:
        parameters:
          - {name: auc, valueFrom: {parameter: "{{tasks.evaluate.outputs.parameters.auc}}"}}
          - {name: promoted, valueFrom: {parameter: "{{tasks.evaluate.outputs.parameters.promoted}}"}}
    - name: load
      container: {image: x, command: [echo, "read 40 files, 1204331 rows"]}
    - name: fit
      container:
        image: x
        command:
          - sh
          - -c
          - 'while [ ! -e free/{{workflow.parameters.model}} ]; do sleep 0.05; done; echo "epoch 1 of 1: loss 0.207"'
    - name: evaluate
      container:
        image: x
        command: [sh, -c, "mkdir -p /tmp/o; cp free/auc free/promoted /tmp/o; echo auc $(cat free/auc)"]
      outputs:
        parameters:
          - {name: auc, valueFrom: {path: /tmp/o/auc}}
          - {name: promoted, valueFrom: {path: /tmp/o/promoted}}
---
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: broken}
spec:
  entrypoint: main
  arguments: {parameters: [{name: model}]}
  templates:
    - name: main
      dag: {tasks: [{name: load, template: load}, {name: train, template: fit, depends: load}]}
    - {name: load, container: {image: x, command: [echo, "read 5 chargebacks"]}}
    - {name: fit, container: {image: x, command: [sh, -c, "echo 'column amount_eur: not found' >&2; exit 3"]}}
"""


class StoryHouse(House):
    """A daemon whose clock stands still; `wait` moves it on. Its runs train until their rule is `free`."""

    def __init__(self, folder: Path, rules: str = RULES) -> None:
        (folder / "free").mkdir()
        self._time = folder / "time"
        self._set(BEGIN)
        self._patches = [
            patch.object(SystemClock, "now", lambda _: self.time),
            patch.object(runners, "_spawn", self._spawn),
        ]
        for each in self._patches:
            each.start()
        super().__init__(folder, rules=rules)
        (folder / "templates/train.yaml").write_text(TEMPLATES)

    def close(self) -> None:
        for model in ("churn", "recommend", "search-ranking", "credit-score", "churn-report"):
            self.free(model)
        super().close()
        for each in self._patches:
            each.stop()

    @property
    def url(self) -> str:
        return self.app.web.url

    def _set(self, time: float) -> None:
        self.time = time
        self._time.write_text(str(time))

    def wait(self, seconds: float) -> None:
        self._set(self.time + seconds)
        self.push(f"tick-{self.time}", kind="tick")

    def free(self, model: str) -> None:
        (self.folder / "free" / model).touch()

    def trained(self, rule: str, count: int, minutes: float, auc: float, *, promoted: bool = False) -> None:
        """Let the run of a rule that is training end as its ``count``-th success."""
        self.trains(rule)
        (self.folder / "free/auc").write_text(str(auc))
        (self.folder / "free/promoted").write_text(str(promoted).lower())
        self.wait(minutes * MINUTE)
        self.free(rule)
        self.ends(rule, "SUCCEEDED", count)
        (self.folder / "free" / rule).unlink()

    def trains(self, rule: str) -> None:
        """Wait until the run of a rule has loaded its data."""

        def loaded() -> bool:
            folders = (self.folder / "runs/default").glob(f"{rule}-*/progress")
            return any(file.read_text().strip() == "1/3" for file in folders)

        until(loaded, f"{rule} trains")

    def _spawn(self, folder: Path) -> int:
        """Start the runner of a run with the time of the story."""
        log = (os.POSIX_SPAWN_OPEN, 1, folder / "runner.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        variables = {"PYTHONPATH": str(ROOT), "STORY_TIME": str(self._time), run_folder.FOLDER_VARIABLE: str(folder)}
        return os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.browser.story_runner", str(folder)],
            {**environment_of_runner(), **variables},
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0), log, (os.POSIX_SPAWN_DUP2, 1, 2)],
        )


def tell(house: StoryHouse) -> None:
    """Until Wednesday, 14:00: churn drifts twice and is promoted once, fraud breaks, the GPU is taken."""
    acts = _acts(house)
    for half_hour in range(125):
        value = {"value": _psi(half_hour), "labels": {"feature": "tenure"}}
        house.push(f"psi-{half_hour}", kind="psi", model="churn", metric="psi", **value)
        if half_hour % 4:
            house.push(f"churn-{half_hour}", f"churn/part-{half_hour:04}.parquet", kind="file", model="churn")
        if half_hour in acts:
            acts[half_hour]()
        if half_hour < 124:
            house.wait(30 * MINUTE - house.time % (30 * MINUTE))


PEAKS = ((41, 0.22), (49, 0.19), (89, 0.24))


def _psi(half_hour: int) -> float:
    """Return the drift at a time: quiet, three peaks of which the second is within the cooldown, and a slow rise."""
    wave = 0.07 + 0.02 * math.sin(half_hour / 3) + 0.01 * math.sin(half_hour * 2.3)
    peak = sum(height * math.exp(-(((half_hour - at) / 2.2) ** 2)) for at, height in PEAKS)
    return round(wave + peak + 0.0045 * max(0, half_hour - 102), 3)


def _acts(house: StoryHouse) -> dict[int, Callable[[], None]]:
    """Return what happens beside the data of churn, by the half hour."""
    return {
        **{at: partial(house.trained, "credit-score", night, 11, 0.791) for night, at in enumerate((3, 51, 99), 1)},
        40: partial(_promoted, house),
        53: partial(house.trained, "churn", 2, 21, 0.866),
        60: partial(_recommended, house),
        64: partial(_act, house, "pause"),
        72: partial(_act, house, "resume"),
        89: partial(house.trained, "churn", 3, 26, 0.868),
        102: partial(_failed, house, 1),
        104: partial(_unreadable, house),
        112: partial(_failed, house, 2),
        118: partial(_some, house, "chargebacks-3", 3, kind="chargeback"),
        122: partial(_gpu_taken, house),
        123: partial(_some, house, "search", 3, kind="file", model="search"),
    }


def _some(house: StoryHouse, name: str, count: int, **data: str) -> None:
    for number in range(count):
        house.push(f"{name}-{number}", f"{name}/{number}", **data)


def _promoted(house: StoryHouse) -> None:
    house.trained("churn", 1, 24, 0.871, promoted=True)
    house.trained("churn-report", 1, 2, 0.0)


def _recommended(house: StoryHouse) -> None:
    _some(house, "recommend", 3, kind="file", model="recommend")
    house.trained("recommend", 1, 19, 0.803)


def _act(house: StoryHouse, verb: str) -> None:
    note = {"note": "GPU node is replaced"}
    house.http.post(f"/api/v1/rules/search-ranking/{verb}", json=note).raise_for_status()


def _failed(house: StoryHouse, count: int) -> None:
    _some(house, f"chargebacks-{count}", 5, kind="chargeback")
    house.ends("fraud", "FAILED", count)


def _unreadable(house: StoryHouse) -> None:
    house.http.post("/hooks/push", content="{broken", headers={"content-type": "application/cloudevents+json"})


def _gpu_taken(house: StoryHouse) -> None:
    _some(house, "recommend-2", 3, kind="file", model="recommend")
    house.trains("recommend")


def address(http: httpx.Client, screen: str) -> str:
    """Return the address of a screen with the latest run of each rule that it has in braces."""

    def latest(rule: re.Match[str]) -> str:
        runs = http.get("/api/v1/runs", params={"rule": rule[1], "limit": 1}).raise_for_status()
        return str(runs.json()["items"][0]["id"])

    return re.sub(r"{([^}]+)}", latest, screen)
