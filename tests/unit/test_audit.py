"""Queries about the past: why a rule did or did not run, and what became of one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import insert

from retrainer.api import audit
from retrainer.event import Event
from retrainer.store import search
from retrainer.store import tables as t
from retrainer.store.search import EventQuery
from retrainer.store.sqlite import SqliteStore
from tests.houses.engine import DrivenEngine

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from sqlalchemy import Connection

    from retrainer.store.pages import Page

START = 1_800_000_000.0  # 2027-01-15 08:00:00 UTC
RULES = [
    {
        "name": name,
        "triggers": {"new": {"data": {"source": "push", "match": {"model": name}, "where": "event.data.size > 10"}}},
        "limits": {"cooldown": {"period": "1h", "from": "fired"}, "overlap": "allow_all"},
        "submit": {"workflow_template": "train"},
    }
    for name in ("basket", "churn")
]


@pytest.fixture
def bench(tmp_path: Path) -> DrivenEngine:
    return DrivenEngine(tmp_path / "retrainer.db", RULES, START)


def send(bench: DrivenEngine, number: int, **data: Any) -> None:
    event = Event("push", f"e{number}", "json", bench.clock.time, {"size": 100, **data}, f"file-{number}")
    bench.deliver([event])


def told(bench: DrivenEngine, at: float) -> dict[str, Any]:
    return bench.store.read(lambda conn: audit.explain(conn, "churn", "", at))


def test_last_night_is_answered_out_of_what_was_decided(bench: DrivenEngine) -> None:
    send(bench, 1, model="churn")
    bench.tick(600)
    send(bench, 2, model="churn")
    bench.tick(60)
    send(bench, 3, model="churn")
    bench.tick(86400)
    then = told(bench, START + 630)
    assert (then["decision"], then["reason"], then["until"]) == ("hold", "cooldown", START + 3600)
    assert then["verdict"] == (
        "churn at 2027-01-15T08:10:30Z: hold: cooldown (1h after a run has fired), "
        "decided 2 times from 2027-01-15T08:10:00Z to 2027-01-15T08:11:00Z"
    )
    assert [node["name"] for node in then["tree"]] == ["decision", "next decision", "active run"]
    assert "fire" in then["tree"][1]["detail"] or "2 events" in then["tree"][1]["detail"]


def test_before_there_was_anything_nothing_is_known(bench: DrivenEngine) -> None:
    send(bench, 1, model="churn")
    then = told(bench, START - 1)
    assert then["decision"] == "unknown"
    assert "no decision is stored for 2027-01-15T07:59:59Z" in then["verdict"]


@pytest.mark.parametrize("text", [pytest.param("e1", id="its id"), pytest.param("file-1", id="its subject")])
def test_an_event_says_what_it_did_in_each_rule(bench: DrivenEngine, text: str) -> None:
    send(bench, 1, model="churn")
    rules = bench.engine.catalog.rules.values()
    (found,) = audit.find(bench.store, rules, EventQuery(text)).items
    run = bench.query("SELECT id FROM runs")[0][0]
    assert found["effects"] == [
        {"rule": "churn", "key": "", "outcome": "matched", "run": run, "detail": ""},
        {"rule": "basket", "key": "", "outcome": "missed", "run": None, "detail": "new: model is not 'basket'"},
    ]


def test_what_where_kept_out_is_a_near_miss(bench: DrivenEngine) -> None:
    send(bench, 1, model="churn", size=5)
    rules = bench.engine.catalog.rules.values()
    (found,) = audit.find(bench.store, rules, EventQuery("e1", "push")).items
    assert [(e["rule"], e["detail"]) for e in found["effects"]] == [
        ("churn", "new: where is not 'event.data.size > 10'"),
    ]


def test_what_a_rule_could_not_take_says_why(bench: DrivenEngine) -> None:
    bench.deliver([Event("push", "e1", "json", bench.clock.time, {"model": "churn"}, "file-1")])
    rules = bench.engine.catalog.rules.values()
    (found,) = audit.find(bench.store, rules, EventQuery("e1")).items
    assert [(e["rule"], e["outcome"], e["detail"]) for e in found["effects"]] == [
        (
            "churn",
            "dead_lettered",
            "raised: `event.data.size > 10`: no field 'size'; guard it with has(…) or default(…, …)",
        ),
    ]


def test_nothing_is_found_of_another_source(bench: DrivenEngine) -> None:
    send(bench, 1, model="churn")
    assert audit.find(bench.store, (), EventQuery("e1", "lake")).items == []


def fill(bench: DrivenEngine, events: int) -> None:
    """Add events without a matching rule from number 1000 on, a second apart."""
    rows = [
        {
            "seq": 1000 + n,
            "at": START + n,
            "source": "lake",
            "id": f"b/k{n} v {n}",
            "type": "t",
            "time": START,
            "subject": f"s{n}",
            "data": "{}",
            "attributes": "{}",
            "outcome": "ignored",
            "rules": "[]",
        }
        for n in range(events)
    ]
    with bench.store.write() as conn:
        conn.execute(insert(t.events), rows)


def seqs(page: Page) -> list[int]:
    return [item["seq"] for item in page.items]


def steps(bench: DrivenEngine, ask: Callable[[], object]) -> int:
    """Steps of SQLite's virtual machine in the longest read, in hundreds."""
    longest = current = 0

    def step() -> int:
        nonlocal current
        current += 1
        return 0

    def read(fn: Callable[[Connection], Any]) -> Any:
        nonlocal longest, current
        current = 0
        found = SqliteStore.read(bench.store, fn)
        longest = max(longest, current)
        return found

    bench.store._driver.set_progress_handler(step, 100)
    bench.store.read = read
    ask()
    bench.store._driver.set_progress_handler(None, 0)
    return longest


@pytest.mark.parametrize(
    ("text", "more", "found"),
    [
        pytest.param("1003", {}, [1003], id="a number"),
        pytest.param("b/k3 v 3", {}, [1003], id="an id"),
        pytest.param("b/k3", {}, [1003], id="an object"),
        pytest.param("s3", {}, [1003], id="a subject"),
        pytest.param("s3", {"source": "push"}, [], id="a subject of another source"),
        pytest.param("b/k3", {"source": "push"}, [], id="an object of another source"),
        pytest.param("s3", {"until": START + 3}, [], id="a subject before a moment"),
        pytest.param("s3", {"until": START + 4}, [1003], id="up to a moment"),
        pytest.param("b/k3", {"since": START + 3}, [1003], id="from a moment"),
        pytest.param("b/k3", {"since": START + 4}, [], id="an object later than it came"),
        pytest.param("9" * 18, {}, [], id="a number that none has"),
        pytest.param("9" * 40, {}, [], id="digits that are no number of ours"),
    ],
)
def test_an_event_is_found_by_what_it_bears(
    bench: DrivenEngine, text: str, more: dict[str, Any], found: list[int]
) -> None:
    fill(bench, 20)
    page = audit.find(bench.store, (), EventQuery(text, **more))
    assert seqs(page) == found
    assert page.next is None, "all was looked at"


def test_a_subject_is_looked_for_in_stretches_and_the_answer_says_where_to_go_on(
    bench: DrivenEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PIECE", 10)
    monkeypatch.setattr(audit, "SUBJECTS", 30)
    fill(bench, 100)
    found, below, pages = [], None, 0
    while pages == 0 or below is not None:
        page = audit.find(bench.store, (), EventQuery("s5", below=below))
        found += seqs(page)
        below, pages = page.next, pages + 1
    assert found == [1005]
    assert pages == 4, "100 events, 30 a call"


@pytest.mark.parametrize("text", ["b/k3", "nothing", "1003"])
def test_finding_costs_the_same_however_long_the_ledger(
    bench: DrivenEngine, text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search, "PIECE", 100)
    fill(bench, 5000)
    longest = steps(bench, lambda: audit.find(bench.store, (), EventQuery(text)))
    assert longest < 30, "no read looks at more than a piece"
