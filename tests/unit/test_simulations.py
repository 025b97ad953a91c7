"""What if: simulations of a changed rule through the API of a real daemon, and their limits."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import yaml

from retrainer.config.load import load_texts
from retrainer.simulate.whatif import answer, process, simulations
from retrainer.simulate.whatif.answer import PlayedMemory
from retrainer.simulate.whatif.assumptions import PlayedCase, assumptions
from retrainer.simulate.whatif.job import StoreAddress, WhatIfJob
from retrainer.simulate.whatif.snapshot import Kept, Snapshot
from tests.houses.daemon_in_process import SETTINGS, DaemonInProcess, template
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, format: cloudevents}
rules:
  # The first rule.
  - name: churn  # leavers
    description: Who will leave?
    triggers:
      files: {data: {source: push, match: {kind: file}, batch: {at_least: {events: 4}}}}
      drift:
        metric: {source: push, match: {kind: psi}, above: 0.2, clear: 0.1, jitter: 0s}  # of the reference
    submit: {workflow_template: train}

  # The second rule.
  - name: fraud
    triggers: {each: {data: {source: push, match: {kind: payment}}}}
    submit: {workflow_template: train}
"""
TEMPLATE = template("train", "true")
EVENTS = "triggers.files.data.batch.at_least.events"
ABOVE = "triggers.drift.metric.above"


class WhatIfHouse(DaemonInProcess):
    """A daemon with events of `churn`, and its simulations."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, RULES, TEMPLATE, SETTINGS)
        self.simulations = self.app.api.simulations

    def push(self, number: int, **data: object) -> None:
        event = {"specversion": "1.0", "id": f"e{number}", "source": "tests", "type": "test", "data": data}
        headers = {"content-type": "application/cloudevents+json"}
        self.http.post("/hooks/push", content=orjson.dumps(event), headers=headers).raise_for_status()

    def files(self, count: int) -> None:
        for number in range(count):
            self.push(number, kind="file")

    def runs(self, phase: str) -> list[Any]:
        answer = self.http.get("/api/v1/runs", params={"rule": "churn", "phase": phase})
        return list(answer.json()["items"])

    def start(self, **asked: Any) -> str:
        answer = self.http.post("/api/v1/simulations", json={"rule": "churn", **asked})
        assert answer.status_code == 200, answer.text
        return str(answer.json()["id"])

    def show(self, number: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/v1/simulations/{number}")
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    def ended(self, number: str) -> dict[str, Any]:
        until(lambda: self.show(number)["ended_at"] is not None, "the simulation ends", 60.0)
        return self.show(number)

    def result(self, **asked: Any) -> dict[str, Any]:
        shown = self.ended(self.start(**asked))
        assert shown["phase"] == "succeeded", shown["detail"]
        return dict(shown["result"])


@pytest.fixture
def house(tmp_path: Path) -> Iterator[WhatIfHouse]:
    house = WhatIfHouse(tmp_path)
    yield house
    house.close()


def test_a_smaller_batch_starts_more_runs_and_the_rule_as_it_is_agrees_with_the_record(house: WhatIfHouse) -> None:
    house.files(4)
    until(lambda: len(house.runs("SUCCEEDED")) == 1, "the run ends")
    result = house.result(changes={EVENTS: 2})
    assert result["agrees"], result["agreement"]
    assert result["agreement"] == "As it is, the rule makes exactly the runs that are recorded: 1."
    assert result["current"]["runs"] == result["recorded"]["runs"] == 1
    assert result["proposed"]["runs"] >= 1
    assert result["proposed"]["shown"][0]["reason"] == "batch_complete"
    assert sum(result["events"]) == 4
    assert any("No input before" in sentence for sentence in result["assumptions"])


def test_a_threshold_that_is_moved_starts_a_run_that_the_rule_did_not(house: WhatIfHouse) -> None:
    house.push(1, kind="psi", value=0.15)
    result = house.result(changes={ABOVE: 0.12})
    assert (result["current"]["runs"], result["proposed"]["runs"]) == (0, 1)
    (difference,) = result["differences"]
    assert difference["run"] == "new"
    assert "below_threshold" in difference["why"]
    (metric,) = result["metrics"]
    assert (metric["current"]["bound"], metric["proposed"]["bound"]) == (0.2, 0.12)
    assert [point[1] for point in metric["lines"][0]["points"]] == [0.15]


@pytest.mark.parametrize("jitter", ["0s", "5m"])
def test_the_jitter_of_a_metric_at_the_first_value_is_an_assumption(jitter: str) -> None:
    configuration, _ = load_texts({"rules.yaml": RULES.replace("jitter: 0s", f"jitter: {jitter}")})
    job = WhatIfJob(StoreAddress(), "churn", {}, "", 0.0, 9.0, [], 0, "churn-what-if", 0, 0)
    case = PlayedCase(job, Kept([], [], [], 0.0, whole=True), configuration, "", "active")
    assert any("`jitter`" in sentence for sentence in assumptions(case)) == (jitter != "0s")


def test_the_texts_keep_comments_are_valid_and_change_no_file(house: WhatIfHouse) -> None:
    house.files(1)
    result = house.result(changes={ABOVE: 0.25, "limits.cooldown.period": 43200})
    changed, shadow = result["changed"], result["shadow"]
    assert "above: 0.25, clear: 0.1, jitter: 0s}  # of the reference" in changed["yaml"]
    assert "limits: {cooldown: {period: 12h}}" in changed["yaml"]
    assert "+  - name: churn-what-if  # leavers" in shadow["diff"]
    assert "-" not in {line[:1] for line in shadow["diff"].splitlines()[3:]}
    (rule,) = yaml.safe_load(shadow["yaml"])
    assert (rule["mode"], rule["triggers"]["drift"]["metric"]["above"]) == ("shadow", 0.25)
    assert rule["description"].startswith("What if of churn: triggers.drift.metric.above 0.25 instead of 0.2")
    assert (changed["problems"], shadow["problems"]) == ([], [])
    assert (house.folder / "rules/rules.yaml").read_text() == RULES


def test_the_difference_of_a_shadow_rule_can_be_applied(house: WhatIfHouse) -> None:
    house.files(1)
    shadow = house.result(changes={EVENTS: 2})["shadow"]
    added = [line[1:] for line in shadow["diff"].splitlines() if line.startswith("+") and not line.startswith("+++")]
    before, after = RULES.split("\n  # The second rule.")
    whole = before + "\n".join(added) + "\n\n  # The second rule." + after
    configuration, problems = load_texts({"rules.yaml": whole})
    assert [rule.name for rule in configuration.rules] == ["churn", "churn-what-if", "fraud"]
    assert problems == ()


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        pytest.param({ABOVE: 0.05}, "clear", id="a threshold below its clear value"),
        pytest.param({"limits.cooldwn.period": "1d"}, "cooldwn", id="a misspelt field"),
        pytest.param({"limits.cooldown.period": "soon"}, "not a duration", id="not a duration"),
        pytest.param({"name": "other"}, "another rule", id="another name"),
    ],
)
def test_a_change_that_is_not_valid_is_refused_in_the_words_of_the_validator(
    house: WhatIfHouse, changes: dict[str, Any], says: str
) -> None:
    shown = house.ended(house.start(changes=changes))
    assert shown["phase"] == "failed"
    assert says in shown["detail"]
    assert house.result(changes={EVENTS: 2})["changed"]["problems"] == []


@pytest.mark.parametrize("value", [1e308, -1e17])
def test_a_number_that_is_not_exact_in_json_is_refused(house: WhatIfHouse, value: float) -> None:
    answer = house.http.post("/api/v1/simulations", json={"rule": "churn", "changes": {ABOVE: value}})
    assert (answer.status_code, ABOVE in answer.json()["detail"]) == (422, True)


def test_a_second_simulation_waits_a_cancelled_one_is_gone_and_more_than_four_are_refused(
    house: WhatIfHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    freeze(monkeypatch)
    first, *rest = [house.start() for _ in range(5)]
    assert [house.show(number)["phase"] for number in (first, *rest)] == ["running", *["waiting"] * 4]
    refused = house.http.post("/api/v1/simulations", json={"rule": "churn"})
    assert refused.status_code == 429
    assert "4 simulations wait already" in refused.json()["detail"]
    monkeypatch.undo()
    for number in (first, *rest[:3]):
        assert house.http.delete(f"/api/v1/simulations/{number}").status_code == 204
        assert house.http.get(f"/api/v1/simulations/{number}").status_code == 404
    assert house.ended(rest[3])["phase"] == "succeeded"
    assert [one["id"] for one in house.http.get("/api/v1/simulations").json()] == [rest[3]]


def test_a_stop_kills_the_process_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = freeze(monkeypatch)
    house = WhatIfHouse(tmp_path)
    house.start()
    house.close()
    assert pids
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)


def test_one_process_answers_one_question_after_the_other_and_ends_after_its_time(
    house: WhatIfHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    pids = processes(monkeypatch)
    house.files(1)
    assert house.result()["current"]["runs"] == 0
    assert house.ended(house.start(changes={"limits.cooldown.period": "soon"}))["phase"] == "failed"
    assert house.result(changes={EVENTS: 1})["proposed"]["runs"] == 1
    monkeypatch.setattr(simulations, "WARM_FOR", 0.1)
    assert house.result(changes={EVENTS: 2})["proposed"]["runs"] == 0
    (pid,) = pids
    until(lambda: not Path(f"/proc/{pid}").exists(), "the process ends")
    assert house.result(changes={EVENTS: 1})["proposed"]["runs"] == 1


def test_another_change_neither_reads_the_inputs_nor_plays_the_rule_as_it_is_again(
    house: WhatIfHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads = counted(monkeypatch, Snapshot, "inputs")
    plays = counted(monkeypatch, answer, "play")  # those in a child are not counted here
    house.files(2)
    memory, end = PlayedMemory(), house.app.api.engine.clock.now()

    def answered(changes: dict[str, Any]) -> dict[str, Any]:
        store = StoreAddress(str(house.folder / "store.db"))
        job = WhatIfJob(store, "churn", changes, "", end - 86400, end, [], 0, "churn-what-if", 1 << 40, 60)
        return answer.Answer(job, memory, lambda _: None, lambda *_: None).make()

    first, second = answered({}), answered({EVENTS: 2})
    assert [(one["current"]["runs"], one["proposed"]["runs"]) for one in (first, second)] == [(0, 0), (0, 1)]
    assert (len(reads), len(plays)) == (1, 1)
    for number in (2, 3):
        house.push(number, kind="file")
    until(lambda: len(house.runs("SUCCEEDED")) == 1, "a run ends")
    assert answered({EVENTS: 2})["proposed"]["runs"] == 1
    assert (len(reads), len(plays)) == (2, 2)


def test_a_killed_process_is_told_and_the_next_one_works(house: WhatIfHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    pids = freeze(monkeypatch)
    number = house.start()
    monkeypatch.undo()
    until(lambda: bool(pids), "the process runs")
    os.kill(pids[0], signal.SIGKILL)
    shown = house.ended(number)
    assert (shown["phase"], "SIGKILL" in shown["detail"]) == ("failed", True)
    house.files(1)
    assert house.result()["current"]["runs"] == 0


def test_a_simulation_that_needs_too_much_memory_fails_and_says_so(
    house: WhatIfHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(simulations, "LEAST_MEMORY", 0)
    monkeypatch.setattr(simulations, "memory_for_one", lambda: 1 << 20)
    house.files(1)
    shown = house.ended(house.start())
    assert (shown["phase"], "1 MiB of memory" in shown["detail"]) == ("failed", True), shown["detail"]


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        pytest.param({}, process.MOST_MEMORY, id="no container"),
        pytest.param({"memory.max": "max\n"}, process.MOST_MEMORY, id="no limit"),
        pytest.param(
            {"memory.max": "600", "memory.current": "400", "memory.stat": "anon 1\ninactive_file 100\n"},
            100,
            id="a third of what is left, with cache that can go",
        ),
    ],
)
def test_memory_is_bounded_by_that_of_the_container(tmp_path: Path, files: dict[str, str], expected: int) -> None:
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    assert process.memory_for_one(tmp_path) == expected


def test_results_are_forgotten_after_an_hour(house: WhatIfHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    number = house.start()
    house.ended(number)
    monkeypatch.setattr(simulations, "KEPT_FOR", -1.0)
    assert house.http.get(f"/api/v1/simulations/{number}").status_code == 404


def test_fields_that_can_be_moved_have_their_values_ranges_and_meaning(house: WhatIfHouse) -> None:
    found = {field["path"]: field for field in house.http.get("/api/v1/rules/churn/fields").json()}
    above = found[ABOVE]
    assert (above["value"], above["unit"], above["least"], above["most"]) == (0.2, "number", 0.05, 0.8)
    assert "Threshold" in above["about"]
    assert (above["given"], found["triggers.drift.metric.repeat_interval"]["given"]) == (True, False)
    assert found["limits.cooldown.period"]["value"] is None
    assert found["triggers.drift.metric.repeat_interval"]["written"] == "1d"
    assert "triggers.files.metric.clear" not in found


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str) -> list[None]:
    """Add to the list at each call."""
    calls: list[None] = []
    before = getattr(owner, name)

    def call(*given: Any, **more: Any) -> Any:
        calls.append(None)
        return before(*given, **more)

    monkeypatch.setattr(owner, name, call)
    return calls


def processes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the numbers of the processes of simulations, which are added."""
    pids: list[int] = []
    before = process.SimulationProcess.__init__

    def started(self: process.SimulationProcess) -> None:
        before(self)
        pids.append(self._process.pid)

    monkeypatch.setattr(process.SimulationProcess, "__init__", started)
    return pids


def freeze(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Stop each process of a simulation before it does anything. Return their numbers, which are added."""
    pids: list[int] = []
    before = process.SimulationProcess.__init__

    def frozen(self: process.SimulationProcess) -> None:
        before(self)
        pids.append(self._process.pid)
        os.kill(self._process.pid, signal.SIGSTOP)

    monkeypatch.setattr(process.SimulationProcess, "__init__", frozen)
    return pids
