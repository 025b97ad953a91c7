"""Why it did, or did not, run last night; and what became of one event."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer import history
from retrainer.event import Event
from tests.unit.engine.bench import Bench

if TYPE_CHECKING:
    from pathlib import Path

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
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path / "retrainer.db", RULES, START)


def send(bench: Bench, number: int, **data: Any) -> None:
    event = Event("push", f"e{number}", "json", bench.clock.time, {"size": 100, **data}, f"file-{number}")
    bench.deliver([event])


def told(bench: Bench, at: float) -> dict[str, Any]:
    return bench.store.read(lambda conn: history.explain(conn, "churn", "", at))


def test_last_night_is_answered_out_of_what_was_decided(bench: Bench) -> None:
    send(bench, 1, model="churn")
    bench.tick(600)
    send(bench, 2, model="churn")
    bench.tick(60)
    send(bench, 3, model="churn")
    bench.tick(86400)
    then = told(bench, START + 630)
    assert (then["decision"], then["reason"], then["until"]) == ("hold", "cooldown", START + 3600)
    assert then["verdict"] == (
        "churn at 2027-01-15T08:10:30Z: hold: cooldown (rests for 3600 s after a run has fired), "
        "decided 2 times from 2027-01-15T08:10:00Z to 2027-01-15T08:11:00Z"
    )
    assert [node["name"] for node in then["tree"]] == ["decision", "the next one", "on the way"]
    assert "fire" in then["tree"][1]["detail"] or "2 events" in then["tree"][1]["detail"]


def test_before_there_was_anything_nothing_is_known(bench: Bench) -> None:
    send(bench, 1, model="churn")
    then = told(bench, START - 1)
    assert then["decision"] == "unknown"
    assert "nothing is known of 2027-01-15T07:59:59Z" in then["verdict"]


@pytest.mark.parametrize("text", [pytest.param("e1", id="its id"), pytest.param("file-1", id="its subject")])
def test_an_event_says_what_it_did_in_each_rule(bench: Bench, text: str) -> None:
    send(bench, 1, model="churn")
    rules = bench.engine.catalog.rules.values()
    (found,) = bench.store.read(lambda conn: history.find(conn, rules, text, None, 5))
    run = bench.query("SELECT id FROM runs")[0][0]
    assert found["effects"] == [
        {"rule": "churn", "key": "", "outcome": "matched", "run": run, "detail": ""},
        {"rule": "basket", "key": "", "outcome": "missed", "run": None, "detail": "new: model is not 'basket'"},
    ]


def test_what_where_kept_out_is_a_near_miss(bench: Bench) -> None:
    send(bench, 1, model="churn", size=5)
    rules = bench.engine.catalog.rules.values()
    (found,) = bench.store.read(lambda conn: history.find(conn, rules, "e1", "push", 5))
    assert [(e["rule"], e["detail"]) for e in found["effects"]] == [
        ("churn", "new: where is not 'event.data.size > 10'"),
    ]


def test_what_a_rule_could_not_take_says_why(bench: Bench) -> None:
    bench.deliver([Event("push", "e1", "json", bench.clock.time, {"model": "churn"}, "file-1")])
    rules = bench.engine.catalog.rules.values()
    (found,) = bench.store.read(lambda conn: history.find(conn, rules, "e1", None, 5))
    assert [(e["rule"], e["outcome"], e["detail"]) for e in found["effects"]] == [
        ("churn", "dead_lettered", "raised: `event.data.size > 10`: no field 'size'; guard it with has(…)"),
    ]


def test_nothing_is_found_of_another_source(bench: Bench) -> None:
    send(bench, 1, model="churn")
    assert bench.store.read(lambda conn: history.find(conn, (), "e1", "lake", 5)) == []
