"""The witness and the auditor parse responses of the API server and of the daemons."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.soak import auditor
from tests.soak.witness import seen


def workflow(took: str = "[1, 2]", phase: str = "Succeeded", finalizers: tuple[str, ...] = ()) -> dict[str, Any]:
    metadata = {
        "name": "w",
        "uid": "u",
        "labels": {"retrainer.dev/rule": "push-1"},
        "annotations": {"retrainer.dev/run": "R"},
        "finalizers": list(finalizers),
    }
    parameters = [{"name": "took", "value": took}]
    return {"metadata": metadata, "spec": {"arguments": {"parameters": parameters}}, "status": {"phase": phase}}


def test_a_workflow_says_which_run_it_is_and_what_it_took() -> None:
    found = seen(workflow())
    assert (found.name, found.uid, found.run, found.rule, found.took) == ("w", "u", "R", "push-1", (1, 2))
    assert seen(workflow('["m-0/1", "m-0/2"]')).took == ("m-0/1", "m-0/2")


@pytest.mark.parametrize("took", ["", "no list", "{}", "7", '[{"a": 1}, [2], null]'])
def test_what_rules_that_are_bad_give_is_no_number(took: str) -> None:
    assert seen(workflow(took)).took == ()


@pytest.mark.parametrize(
    ("phase", "finalizers", "over"),
    [
        pytest.param("Succeeded", (), True, id="ended and released"),
        pytest.param("Succeeded", ("retrainer.dev/outcome",), False, id="ended, its outcome not stored"),
        pytest.param("Running", (), False, id="on its way"),
        pytest.param("", (), False, id="not begun"),
    ],
)
def test_a_workflow_is_over_once_nobody_keeps_it(phase: str, finalizers: tuple[str, ...], over: bool) -> None:
    assert seen(workflow(phase=phase, finalizers=finalizers)).over is over


class Api:
    """Events, dead letters and runs, oldest first, served like the daemon does: newest first, two a page."""

    def __init__(self) -> None:
        self.lists: dict[str, list[dict[str, Any]]] = {"events": [], "dead-letters": [], "runs": []}
        self.asked: list[str] = []

    def get(self, _: object, path: str) -> Any:
        self.asked.append(path)
        parts = urlsplit(path)
        name, _, one = parts.path.removeprefix("/api/v1/").partition("/")
        if one:
            return next(item for item in self.lists[name] if item["id"] == one)
        cursor = parse_qs(parts.query).get("cursor", [None])[0]
        items = self.lists[name][::-1]
        begin = int(cursor) if cursor is not None else 0
        return {"items": items[begin : begin + 2], "next": begin + 2 if begin + 2 < len(items) else None}

    def event(self, source: str, **fields: Any) -> None:
        seq = len(self.lists["events"]) + 1
        base = {"seq": seq, "source": source, "type": "sample", "outcome": "matched", "attributes": {}, "data": {}}
        self.lists["events"].append({**base, **fields})

    def run(self, number: str, phase: str) -> None:
        named = {"id": number, "rule": "r", "phase": phase, "uid": "u", "workflow": "w", "message": ""}
        self.lists["runs"] = [*(run for run in self.lists["runs"] if run["id"] != number), named]
        self.lists["runs"].sort(key=lambda run: run["id"])


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> Api:
    api = Api()
    monkeypatch.setattr(auditor, "get_json", api.get)
    return api


@pytest.fixture
def looker(api: Api) -> auditor.Auditor:
    made = auditor.Auditor([object()])  # type: ignore[list-item]
    made.stop()  # it polls when the test calls it
    return made


def test_each_event_is_read_once_over_all_pages(api: Api, looker: auditor.Auditor) -> None:
    for n in range(5):
        api.event("push", data={"n": n, "group": "g"})
    looker.look()
    looker.look()
    api.event("push", data={"n": 5, "group": "g"})
    api.event("push", data={"n": 3, "group": "g"})
    looker.look()
    assert looker.told["push"] == {**{n: ["matched"] for n in (0, 1, 2, 4, 5)}, 3: ["matched", "matched"]}


def test_poison_is_no_number_and_is_known_by_its_place(api: Api, looker: auditor.Auditor) -> None:
    api.event("push", data={"n": 1}, attributes={"kafka": 1})
    api.event("records", data={"n": 1}, attributes={"kafka": {"topic": "records", "partition": 2, "offset": 7}})
    api.event("pond", type="s3:ObjectCreated:Sweep", data={"key": "m-0/1"})
    letter = {"reason": "unreadable", "source": "packed"}
    api.lists["dead-letters"] = [{**letter, "id": 1, "event": "t:0:9"}, {**letter, "id": 2, "event": "sha256:ab"}]
    api.lists["dead-letters"] += [{**letter, "id": 3, "event": "a-key-of-the-sender"}, {**letter, "id": 4, "event": ""}]
    api.event("pond", type="s3:ObjectCreated:Put", data={"key": "poison/"})
    looker.look()
    assert looker.told["push"] == looker.told["records"] == {}
    assert looker.told["pond"] == {"m-0/1": ["matched"]}
    assert looker.places == {("records", 2, 7), ("packed", 0, 9)}


def test_a_run_that_goes_on_behind_those_that_have_ended_is_asked_for(api: Api, looker: auditor.Auditor) -> None:
    api.run("01", "RUNNING")
    looker.look()
    assert looker.open_runs() == ["01"]
    for n in range(2, 9):
        api.run(f"0{n}", "SUCCEEDED")
    looker.look()
    looker.look()
    api.run("01", "SUCCEEDED")
    looker.look()
    assert looker.open_runs() == []
    assert len(looker.runs) == 8


def test_a_run_that_goes_backwards_is_said(api: Api, looker: auditor.Auditor) -> None:
    api.run("01", "SUCCEEDED")
    looker.look()
    api.run("01", "RUNNING")
    looker.look()
    assert looker.backwards == ["01: SUCCEEDED, then RUNNING"]
    assert looker.runs["01"]["phase"] == "SUCCEEDED"


def test_an_alert_that_fires_on_is_no_crossing(api: Api, looker: auditor.Auditor) -> None:
    labels = {"model": "alert"}
    said = (
        ("firing", 1),
        ("firing", 1),
        ("resolved", 1),
        ("firing", 2),
        ("resolved", 1),
        ("firing", 3),
        ("resolved", 3),
    )
    for status, began in said:
        api.event("alerts", type=f"alertmanager.{status}", data={"labels": labels, "startsAt": f"0{began}"})
    api.event("alerts", type="alertmanager.firing", data={"labels": {"model": "drift"}})
    looker.look()
    assert (looker.crossings, looker.last_alert("alert"), looker.last_alert("drift")) == (2, 0.05, 0.9)
