"""The past of a rule: values, pending data, decisions and runs, as they were stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import delete

from retrainer.api.past_values import past_values
from retrainer.api.pending_series import pending
from retrainer.api.series import MOST_PIECES, Span, metric
from retrainer.engine.retention import retention_marks
from retrainer.event import Event
from retrainer.sources.base import Query
from retrainer.sources.prometheus.poll import digest_of
from retrainer.store import statements
from retrainer.store import tables as t
from retrainer.store.rows import event_to_row
from retrainer.util.thinning import MOST_POINTS
from tests.houses.engine import DrivenEngine, configuration
from tests.unit.engine.kit import end

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

START = 1_800_000_000.0
DAY = 86400.0
RULES: list[dict[str, Any]] = [
    {
        "name": "churn",
        "triggers": {
            "files": {"data": {"source": "push", "match": {"kind": "file"}, "batch": {"at_least": {"bytes": "30B"}}}},
            "drift": {"metric": {"source": "push", "match": {"kind": "psi"}, "above": 0.2, "clear": 0.1}},
        },
        "limits": {"overlap": "allow_all"},
        "submit": {"workflow_template": "train"},
    },
    {
        "name": "polled",
        "triggers": {"psi": {"metric": {"source": "prom", "expr": "max(psi)", "below": 3}}},
        "submit": {"workflow_template": "train"},
    },
    {
        "name": "each",
        "for_each": {"by": {"files": "event.data.country", "drift": "event.data.country"}},
        "triggers": {
            "files": {"data": {"source": "push", "match": {"kind": "sale"}, "batch": {"at_least": {"events": 3}}}},
            "drift": {"metric": {"source": "push", "match": {"kind": "auc"}, "below": 0.7}},
        },
        "submit": {"workflow_template": "train"},
    },
]
SOURCES = {
    "push": {"type": "webhook", "path": "/hooks/push"},
    "prom": {"type": "prometheus", "url": "http://prom:9090"},
}


@pytest.fixture
def bench(tmp_path: Path) -> DrivenEngine:
    return DrivenEngine(tmp_path / "retrainer.db", RULES, START, loaded=configuration(RULES, SOURCES))


def send(bench: DrivenEngine, identity: str, **data: Any) -> None:
    bench.deliver([Event("push", identity, "json", bench.clock.time, data)])


def result(at: float, *values: float | None, error: str = "") -> Event:
    series = [{"labels": {"pod": f"p{n}"}, "value": value, "time": at} for n, value in enumerate(values)]
    data = {"expr": "max(psi)", "sample_time": "", "series": series, "error": error}
    return Event("prom", f"{digest_of(Query('max(psi)'))}:{round(at * 1000)}", "prometheus.query", at, data, "max(psi)")


def poll(bench: DrivenEngine, *values: float | None, error: str = "") -> None:
    bench.deliver([result(bench.clock.time, *values, error=error)])


def polls(bench: DrivenEngine, count: int, every: float, value: Callable[[int], float]) -> None:
    """Store many results, as if each had come in a transaction of its own."""
    times = [START + place * every for place in range(count)]
    rows = [
        event_to_row(place + 1, at, result(at, value(place)), "matched", '[["polled",""]]')
        for place, at in enumerate(times)
    ]
    with bench.store.write() as conn:
        statements.append_all(conn, t.events, rows)


def span(bench: DrivenEngine, rule: str, key: str = "", since: float = START, until: float = START + DAY) -> Span:
    return Span(bench.engine.catalog.rules[rule], key, since, until)


def values(found: dict[str, Any]) -> dict[str, list[tuple[float, float | None]]]:
    """The points of each line, at seconds after the start."""
    return {line["series"]: [(p["at"] - START, p["value"]) for p in line["points"]] for line in found["lines"]}


def drift(bench: DrivenEngine, rule: str = "churn", **options: Any) -> dict[str, Any]:
    asked = span(bench, rule, **options)
    return metric(bench.store, asked, next(iter(asked.rule.gauges.values())))


def amounts(bench: DrivenEngine, rule: str = "churn", **options: Any) -> list[tuple[float, float | None]]:
    (line,) = pending(bench.store, span(bench, rule, **options))
    return [(point["at"] - START, point["value"]) for point in line["points"]]


def test_pushed_values_are_shown_as_they_arrived(bench: DrivenEngine) -> None:
    for value in (0.1, 0.3, 0.15):
        send(bench, f"d{value}", kind="psi", value=value, metric="psi")
        bench.tick(60)
    send(bench, "other", kind="else", value=9)
    found = drift(bench)
    assert values(found) == {"psi{}": [(0, 0.1), (60, 0.3), (120, 0.15)]}
    assert (found["limit"], found["clear"], found["side"], found["read_since"]) == (0.2, 0.1, "above", START)
    assert values(drift(bench, since=START + 30, until=START + 90)) == {"psi{}": [(60, 0.3)]}


def test_a_result_of_a_query_has_all_series_and_one_without_a_value_is_a_gap(bench: DrivenEngine) -> None:
    for given in ((7, 5), (6, None), (2,), ()):
        poll(bench, *given, error="" if given else "no answer within 10s")
        bench.tick(15)
    assert values(drift(bench, "polled")) == {
        '{pod="p0"}': [(0, 7), (15, 6), (30, 2), (45, None)],
        '{pod="p1"}': [(0, 5), (15, None), (30, None)],
    }


def test_each_key_has_its_own_values_and_data(bench: DrivenEngine) -> None:
    for place, country in enumerate(("de", "fr", "de")):
        send(bench, f"s{place}", kind="sale", country=country)
        send(bench, f"a{place}", kind="auc", country=country, value=0.9 - place / 10, metric="auc")
        bench.tick(10)
    assert values(drift(bench, "each", key="de")) == {"auc{}": [(0, 0.9), (20, 0.7)]}
    assert amounts(bench, "each", key="fr", until=START + 30) == [(0, 0), (10, 1), (30, 1)]
    assert pending(bench.store, span(bench, "each", key="it")) == []


def test_pending_data_rises_to_what_the_run_took(bench: DrivenEngine) -> None:
    for place in range(4):
        bench.tick(10)
        send(bench, f"f{place}", kind="file", size=10)
    assert amounts(bench, until=START + 50) == [
        (0, 0),
        (10, 10),
        (20, 20),
        (30, 30),
        (30, 30),
        (30, 0),
        (40, 10),
        (50, 10),
    ]
    assert amounts(bench, until=START + 25) == [(0, 0), (10, 10), (20, 20), (25, 20)]


def test_what_a_failed_run_returned_is_pending_again(bench: DrivenEngine) -> None:
    for place in range(3):
        bench.tick(10)
        send(bench, f"f{place}", kind="file", size=10)
    bench.tick(10)
    end(bench, "Failed")
    assert amounts(bench, until=START + 50)[-2:] == [(40, 30), (50, 30)]


def test_where_events_were_pruned_pending_data_is_not_known_and_says_since_when(bench: DrivenEngine) -> None:
    for place in range(4):
        bench.tick(10)
        send(bench, f"f{place}", kind="file", size=10)

    def prune(tx: Any) -> None:
        tx.conn.execute(delete(t.events).where(t.events.c.at <= START + 20))
        retention_marks.note_pruned(tx.conn, 2, START + 20)

    bench.act(prune)
    assert amounts(bench, until=START + 50) == [(20, 20), (30, 30), (30, 30), (30, 0), (40, 10), (50, 10)]


def test_a_query_of_2_400_results_is_thinned_and_keeps_its_peak(bench: DrivenEngine) -> None:
    polls(bench, 2_400, 17, lambda place: 90 if place == 1_333 else place % 7)
    found = drift(bench, "polled")
    (line,) = found["lines"]
    assert (line["samples"], found["read_since"]) == (2_400, START)
    assert len(line["points"]) <= MOST_POINTS
    assert max((point["value"], point["at"]) for point in line["points"]) == (90, START + 1_333 * 17)


def test_a_long_time_is_read_on_from_where_an_answer_ended(bench: DrivenEngine) -> None:
    polls(bench, 500 * MOST_PIECES + 50, 1, float)
    found = drift(bench, "polled")
    assert found["read_since"] > START
    rest = drift(bench, "polled", until=found["read_since"])
    assert rest["read_since"] == START
    assert rest["lines"][0]["points"][0] == {"at": START, "value": 0}
    assert found["lines"][0]["samples"] + rest["lines"][0]["samples"] == 500 * MOST_PIECES + 51


def test_the_value_that_fired_is_read_from_its_run_and_others_from_the_ledger(bench: DrivenEngine) -> None:
    rule = bench.engine.catalog.rules["churn"]
    for value in (0.1, 0.31):
        send(bench, f"d{value}", kind="psi", value=value, metric="psi")
        bench.tick(60)
    run = bench.query("SELECT run FROM decisions WHERE decision = 'fire'")[0][0]
    (triggers,) = past_values(bench.store, rule, "", START + 60, run)
    (leaf,) = triggers["children"]
    assert leaf["measure"] == {"value": 0.31, "limit": 0.2, "side": "above", "unit": "", "clear": 0.1}
    triggers, other = past_values(bench.store, rule, "", START + 30, None)
    drift_then, files = triggers["children"]
    assert drift_then["children"][0]["measure"]["value"] == 0.1
    assert files["measure"] == {"value": 0, "limit": 30, "side": "at_least", "unit": "bytes", "clear": None}
    assert other["state"] == "not kept"


def test_an_edit_that_drops_what_is_pending_makes_the_time_before_it_unknown(bench: DrivenEngine) -> None:
    send(bench, "f0", kind="file", size=10)
    bench.tick(10)
    edited = {**RULES[0], "triggers": {"files": {"data": {**RULES[0]["triggers"]["files"]["data"], "where": "true"}}}}
    bench.edit([edited])
    bench.tick(10)
    send(bench, "f1", kind="file", size=20)
    assert amounts(bench, since=START - 10, until=START + 30)[-2:] == [(20, 20), (30, 20)]
    assert (0, None) in amounts(bench, since=START - 10, until=START + 30)
