"""Dead letters of a real daemon: previewed, replayed after the rule was mended, discarded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import structlog

from tests.houses.daemon_in_process import DaemonInProcess, template
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, format: cloudevents}
rules:
  - name: churn
    triggers: {files: {data: {source: push, match: {kind: file}, where: WHERE, batch: {at_least: {events: 2}}}}}
    submit: {workflow_template: train}
"""
TEMPLATE = template("train", "echo", "trained")
LETTERS = "/api/v1/dead-letters"


class Office(DaemonInProcess):
    """A daemon whose rule cannot evaluate events without `rows`."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder, RULES.replace("WHERE", "event.data.rows > 0"), TEMPLATE)

    def push(self, *identities: str, **data: object) -> None:
        headers = {"content-type": "application/cloudevents+json"}
        for identity in identities:
            event = {"specversion": "1.0", "id": identity, "source": "t", "type": "t", "data": {"kind": "file", **data}}
            self.http.post("/hooks/push", content=orjson.dumps(event), headers=headers).raise_for_status()

    def mend(self) -> None:
        (self.folder / "rules/rules.yaml").write_text(RULES.replace("where: WHERE, ", ""))
        assert self.http.post("/-/reload").json()["changed"]

    def letters(self, **query: Any) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self.http.get(LETTERS, params=query).json()["items"]
        return items

    def post(self, act: str, *ids: int, dry_run: bool) -> dict[str, Any]:
        answer: dict[str, Any] = self.http.post(f"{LETTERS}/{act}", json={"ids": ids, "dry_run": dry_run}).json()
        return answer


@pytest.fixture(autouse=True)
def logged() -> Iterator[None]:
    """Keep the daemon's log out of the output of the commands."""
    with structlog.testing.capture_logs():
        yield


@pytest.fixture
def office(tmp_path: Path) -> Iterator[Office]:
    office = Office(tmp_path)
    yield office
    office.close()


def test_a_preview_says_what_each_letter_would_do_and_changes_nothing(office: Office) -> None:
    office.push("a", "b")
    until(lambda: len(office.letters()) == 2, "both are dead letters")
    before = office.http.get("/api/v1/decisions").json()
    preview = office.post("replay", 1, 2, dry_run=True)
    assert (preview["replayed"], [one["kept"] for one in preview["letters"]]) == (0, [True, True])
    assert "(still)" in preview["failed"][0]["error"]
    office.mend()
    preview = office.post("replay", 1, 2, dry_run=True)
    assert preview["letters"][0] | {"detail": ""} == {
        "id": 1,
        "source": "push",
        "rule": "churn",
        "kept": False,
        "detail": "",
    }
    assert "churn: hold: batch_incomplete" in preview["letters"][1]["detail"]
    assert (len(office.letters()), office.http.get("/api/v1/runs").json()["items"]) == (2, [])
    assert [d for d in office.http.get("/api/v1/decisions").json()["items"] if d["reason"] == "batch_complete"] == []
    assert before["items"] == [d for d in before["items"] if d["reason"] != "batch_incomplete"]
    assert office.post("replay", 1, 2, dry_run=False)["replayed"] == 2
    until(lambda: office.http.get("/api/v1/runs").json()["items"], "both together fire")
    acts = [(act["act"], act["dry_run"]) for act in office.http.get("/api/v1/activity").json()["items"]]
    assert acts.count(("replay_dead_letters", True)) == 2
    assert acts.count(("replay_dead_letters", False)) == 1


def test_a_preview_of_a_batch_that_a_letter_completes_names_the_run(office: Office) -> None:
    office.push("a")
    until(office.letters, "it is a dead letter")
    office.mend()
    office.push("good")
    (letter,) = office.post("replay", 1, dry_run=True)["letters"]
    assert "churn: fire: batch_complete" in letter["detail"]
    assert office.http.get("/api/v1/runs").json()["items"] == []


def test_a_preview_is_bounded_and_says_how_many_it_left_out(office: Office) -> None:
    office.push(*map(str, range(130)))
    until(lambda: len(office.letters(limit=500)) == 130, "all are dead letters")
    ids = [letter["id"] for letter in office.letters(limit=500)]
    preview = office.post("replay", *ids, dry_run=True)
    assert (len(preview["letters"]), preview["unchecked"]) == (100, 30)
    assert [one["id"] for one in preview["letters"]] == sorted(ids)[:100]
    assert len([a for a in office.http.get("/api/v1/activity").json()["items"] if a["dry_run"]]) == 1


def test_a_dry_run_of_discard_counts(office: Office) -> None:
    office.push("a", "b")
    until(lambda: len(office.letters()) == 2, "both are dead letters")
    size = sum(letter["size"] for letter in office.letters())
    assert office.post("discard", 1, 2, 77, dry_run=True) == {"discarded": 2, "size": size}
    assert len(office.letters()) == 2
    assert office.letters(rule="other") == []
    assert len(office.letters(rule="churn")) == 2


def test_an_unreadable_letter_is_kept(office: Office) -> None:
    office.http.post("/hooks/push", content=b"{broken", headers={"content-type": "application/cloudevents+json"})
    (letter,) = office.letters(reason="unreadable")
    preview = office.post("replay", letter["id"], dry_run=True)
    assert (preview["replayed"], "cannot be read" in preview["failed"][0]["error"]) == (0, True)


def test_the_command_line_previews(office: Office) -> None:
    office.push("a")
    until(office.letters, "it is a dead letter")
    shown = office.ask("dead-letters", "replay", "--all", "--rule", "churn", "--dry-run", code=1).stdout
    assert "churn" in shown
    assert "kept" in shown
    office.mend()
    told = json.loads(office.ask("dead-letters", "replay", "1", "--dry-run", "-o", "json").stdout)
    assert (told["replayed"], told["letters"][0]["kept"], told["unchecked"]) == (1, False, 0)
    assert "1 would be" in office.ask("dead-letters", "discard", "--all", "--dry-run").stdout
    assert len(office.letters()) == 1
