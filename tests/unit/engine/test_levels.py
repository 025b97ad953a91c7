"""Metrics, alerts, ages and upstream runs, from events in the ledger to runs, on a real store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retrainer.engine.commands import feedback
from retrainer.engine.runs.endings import end_run
from retrainer.event import Event
from retrainer.runs.run import RunPhase
from retrainer.store import run_statements
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import observed, start

if TYPE_CHECKING:
    from pathlib import Path

START = 1_800_000_000.0
DRIFT = {"metric": {"source": "push", "above": 0.2, "clear": 0.1, "jitter": "0s", "repeat_interval": "1h"}}
ASKED = {"metric": {"source": "push", "expr": "psi", "match": {"model": "churn"}, "above": 0.2, "jitter": "0s"}}


def rule(name: str, triggers: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "triggers": triggers,
        "submit": {"workflow_template": "train", **more.pop("submit", {})},
        **more,
    }


class Story:
    """An engine that receives events, each with a new id."""

    def __init__(self, path: Path, *rules: dict[str, Any]) -> None:
        self.bench = DrivenEngine(path / "retrainer.db", list(rules), START)
        self._events = 0

    def emit(self, type_: str, data: dict[str, Any]) -> list[str]:
        self._events += 1
        now = self.bench.clock.time
        return self.bench.deliver([Event("push", f"e{self._events}", type_, now, data)])

    def value(self, value: float | None, **labels: str) -> list[str]:
        return self.emit("json", {"metric": "psi", "value": value, "labels": labels})

    def poll(self, *series: tuple[dict[str, str], float | None], error: str = "") -> list[str]:
        now = self.bench.clock.time
        rows = [{"labels": labels, "value": value, "time": now} for labels, value in series]
        return self.emit("prometheus.query", {"expr": "psi", "series": rows, "error": error})

    def runs(self) -> list[tuple[str, str, str, str]]:
        return [tuple(row) for row in self.bench.query("SELECT rule, key, reason, phase FROM runs ORDER BY id")]

    def end(self, phase: RunPhase = RunPhase.SUCCEEDED, **outputs: Any) -> str:
        """End the oldest active run; return its id."""
        (run,) = self.bench.query("SELECT id FROM runs WHERE ended_at IS NULL ORDER BY id LIMIT 1")[0]

        def end(tx: Any) -> None:
            from retrainer.store.rows import dump

            found = run_statements.run(tx.conn, run)
            assert found is not None
            values = {"outputs": dump(outputs), "uid": f"uid-{run}", "resources": dump({"nvidia.com/gpu": 3600.0})}
            end_run(tx, found, phase, "", by_request=False, **values)

        self.bench.act(end)
        return str(run)

    def decided(self) -> tuple[str, str]:
        return tuple(self.bench.query("SELECT decision, reason FROM decisions ORDER BY id DESC LIMIT 1")[0])


def test_a_pushed_value_that_crosses_starts_a_run_and_says_so(tmp_path: Path) -> None:
    story = Story(tmp_path, rule("churn", {"drift": DRIFT}))
    assert story.value(0.1) == ["matched"]
    assert (story.runs(), story.decided()) == ([], ("hold", "below_threshold"))
    story.value(0.3)
    assert story.runs() == [("churn", "", "threshold", "PENDING")]
    run = story.bench.query("SELECT cause FROM runs")[0][0]
    assert '"triggers":["drift"]' in run
    assert '"drift":0.3' in run


def test_it_stays_quiet_until_it_clears_or_the_interval_is_over(tmp_path: Path) -> None:
    story = Story(tmp_path, rule("churn", {"drift": DRIFT}))
    story.value(0.3)
    story.end()
    story.value(0.4)
    assert (len(story.runs()), story.decided()) == (1, ("hold", "quiet"))
    story.value(0.05)
    story.value(0.3)
    assert len(story.runs()) == 2, "it cleared and crossed anew"
    story.end()
    story.bench.tick(3601)
    assert len(story.runs()) == 3, "still crossed an hour after the end"


def test_a_query_is_shared_out_by_labels_and_keys(tmp_path: Path) -> None:
    keyed = rule("each", {"drift": {"metric": {"source": "push", "expr": "psi", "above": 0.2, "jitter": "0s"}}})
    keyed["for_each"] = {"by": {"drift": "event.data.labels.model"}}
    story = Story(tmp_path, rule("churn", {"drift": ASKED}), keyed)
    words = story.poll(({"model": "churn"}, 0.1), ({"model": "basket"}, 0.9))
    assert words == ["matched"]
    assert story.runs() == [("each", "basket", "threshold", "PENDING")]
    story.poll(({"model": "churn"}, 0.3), ({"model": "basket"}, 0.9))
    assert [run[:2] for run in story.runs()] == [("each", "basket"), ("churn", ""), ("each", "churn")]


def test_a_query_that_failed_is_never_no_drift(tmp_path: Path) -> None:
    held = {"metric": {**ASKED["metric"], "for": "10m"}}
    story = Story(tmp_path, rule("churn", {"drift": held}))
    story.poll(({"model": "churn"}, 0.3))
    story.bench.tick(300)
    story.poll(error="connection refused")
    assert story.decided() == ("hold", "no_data")
    story.bench.tick(600)
    assert story.runs() == [], "nothing fires without data"
    story.poll(({"model": "churn"}, 0.3))
    assert len(story.runs()) == 1, "it stayed crossed as far as anybody knows"


def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    held = {"metric": {**ASKED["metric"], "for": "10m"}}
    story = Story(tmp_path, rule("churn", {"drift": held}))
    story.poll(({"model": "churn"}, 0.3))
    story.bench.restart()
    story.bench.tick(601)
    assert len(story.runs()) == 1


def test_an_alert_fires_once_and_again_when_it_began_anew(tmp_path: Path) -> None:
    alert = {"alert": {"source": "push", "match": {"model": "churn"}}}
    story = Story(tmp_path, rule("churn", {"page": alert}))
    labels = {"alertname": "ModelDrift", "model": "churn"}
    firing = {"status": "firing", "fingerprint": "f", "labels": labels}
    story.emit("alertmanager.firing", firing)
    story.end()
    story.emit("alertmanager.firing", {**firing, "labels": {**labels, "model": "basket"}})
    assert story.runs() == [("churn", "", "alert", "SUCCEEDED")]
    story.bench.tick(1)
    story.emit("alertmanager.resolved", {**firing, "status": "resolved"})
    story.bench.tick(1)
    story.emit("alertmanager.firing", firing)
    assert len(story.runs()) == 2


@pytest.mark.parametrize("began", ["2026-11-01T00:00:00Z", "2026-11-01t00:00:00z", "2026-11-01 01:00:00+01:00"])
def test_a_moment_at_which_an_alert_began_is_read_as_the_adapter_reads_it(tmp_path: Path, began: str) -> None:
    story = Story(tmp_path, rule("churn", {"page": {"alert": {"source": "push"}}}))
    story.emit("alertmanager.firing", {"status": "firing", "fingerprint": "f", "labels": {}, "startsAt": began})
    assert len(story.runs()) == 1


@pytest.mark.parametrize(
    ("outcome", "phase", "outputs", "follows"),
    [
        pytest.param("succeeded", RunPhase.SUCCEEDED, {"rows": 2000.0}, True, id="succeeded"),
        pytest.param("succeeded", RunPhase.SUCCEEDED, {"rows": 10.0}, False, id="where says no"),
        pytest.param("succeeded", RunPhase.FAILED, {"rows": 2000.0}, False, id="failed, success was wanted"),
        pytest.param("failed", RunPhase.FAILED, {"rows": 2000.0}, True, id="failed, and that was wanted"),
        pytest.param("completed", RunPhase.ERROR, {"rows": 2000.0}, True, id="any end"),
        pytest.param("promoted", RunPhase.SUCCEEDED, {"rows": 2000.0}, False, id="nobody has promoted it"),
    ],
)
def test_a_run_follows_another(
    tmp_path: Path, outcome: str, phase: RunPhase, outputs: dict[str, Any], follows: bool
) -> None:
    after = {"after": {"rule": "features", "outcome": outcome, "where": "upstream.outputs.rows > 1000"}}
    follower = rule("churn", {"rebuilt": after}, submit={"parameters": {"rows": "${upstream.outputs.rows}"}})
    story = Story(tmp_path, rule("features", {"drift": DRIFT}), follower)
    story.value(0.3)
    story.end(phase, **outputs)
    expected = [("churn", "", "upstream", "PENDING")] if follows else []
    assert story.runs()[1:] == expected


def test_a_promotion_that_is_told_later_is_followed_once(tmp_path: Path) -> None:
    after = {"after": {"rule": "features", "outcome": "promoted"}}
    story = Story(tmp_path, rule("features", {"drift": DRIFT}), rule("churn", {"rebuilt": after}))
    story.value(0.3)
    run = story.end()
    for _ in range(2):
        story.bench.act(lambda tx: feedback.judge(tx, run, promoted=True))
    assert story.runs()[1:] == [("churn", "", "upstream", "PENDING")]


def test_an_own_budget_holds_until_it_is_renewed(tmp_path: Path) -> None:
    limits = {"budget": {"runs": 2, "per": "1h"}, "overlap": "allow_all"}
    story = Story(tmp_path, rule("churn", {"new": {"data": {"source": "push"}}}, limits=limits))
    for _ in range(3):
        story.emit("json", {})
    assert len(story.runs()) == 2
    assert story.decided() == ("hold", "budget")
    story.bench.tick(3601)
    assert len(story.runs()) == 3


def test_a_shared_budget_lets_runs_wait_and_admits_them_when_it_is_renewed(tmp_path: Path) -> None:
    limits = {"budget": "growth", "overlap": "allow_all"}
    rules = [rule(n, {"new": {"data": {"source": "push", "match": {"model": n}}}}, limits=limits) for n in ("a", "b")]
    story = Story(tmp_path, *rules)
    story.bench.budgets({"growth": {"gpu_hours": 2, "per": "1h", "reserve": 1}})
    for name in ("a", "b", "a"):
        story.emit("json", {"model": name})
    assert story.bench.query("SELECT rule FROM runs WHERE admitted_at IS NOT NULL ORDER BY id") == [("a",), ("b",)]
    story.bench.tick(3601)
    story.end()
    assert len(story.bench.query("SELECT id FROM runs WHERE admitted_at IS NOT NULL")) == 3


def test_runs_that_never_ran_say_nothing_of_what_the_next_one_costs(tmp_path: Path) -> None:
    """Ten Workflows are rejected by the API server. The reservation is still the mean of the runs that ran."""
    limits = {"budget": {"gpu_hours": 2, "per": "1d"}, "overlap": "allow_all"}
    bench = Story(tmp_path, rule("churn", {"new": {"data": {"source": "push"}}}, limits=limits)).bench
    bench.deliver([Event("push", "e0", "json", START, {})])
    (first,) = start(bench)
    bench.gateway.observed([observed(first, "Succeeded", resources={"nvidia.com/gpu": 3600.0})])
    for number in range(10):
        bench.deliver([Event("push", f"refused-{number}", "json", START, {})])
        (run,) = bench.gateway.claim(10, 30)
        bench.gateway.refused(run.id, "denied")
    bench.deliver([Event("push", f"e{number}", "json", START, {}) for number in range(1, 4)])
    assert bench.query("SELECT count(*) FROM runs WHERE ended_at IS NULL AND admitted_at IS NOT NULL") == [(1,)]


def test_runs_that_are_not_promoted_stretch_the_cooldown(tmp_path: Path) -> None:
    more = {
        "limits": {"cooldown": {"period": "1h"}},
        "feedback": {"promoted": "outputs.promoted", "backoff": {"factor": 3, "max": "1d"}},
    }
    story = Story(tmp_path, rule("churn", {"new": {"data": {"source": "push"}}}, **more))
    story.emit("json", {})
    story.end(promoted=False)
    story.emit("json", {})
    story.bench.tick(3 * 3600 - 1)
    assert len(story.runs()) == 1
    story.bench.tick(2)
    assert len(story.runs()) == 2
    assert story.bench.query("SELECT promoted, gpu_hours FROM runs ORDER BY id")[0] == (0, 1.0)


def test_imported_ages_make_a_model_due_when_it_is(tmp_path: Path) -> None:
    story = Story(tmp_path, rule("churn", {"stale": {"freshness": {"max_age": "14d", "jitter": "0s"}}}))
    age = {"rule": "churn", "key": "", "succeeded_at": START - 13 * 86400, "promoted_at": None}
    nobody = {**age, "rule": "chrun"}
    answer = story.bench.act(lambda tx: feedback.import_ages(tx, [age, nobody]))
    assert answer == {"imported": 1, "failed": [{"line": 2, "error": "there is no rule 'chrun'"}]}
    story.bench.tick(86400 - 1)
    assert story.runs() == []
    story.bench.tick(2)
    assert story.runs() == [("churn", "", "stale", "PENDING")]


def test_a_value_that_is_no_number_is_a_dead_letter(tmp_path: Path) -> None:
    story = Story(tmp_path, rule("churn", {"drift": DRIFT}))
    assert story.value("high") == ["dead_lettered"]  # type: ignore[arg-type]
    assert story.bench.query("SELECT error FROM dead_letters") == [("`event.data.value` gives 'high', not a number",)]
