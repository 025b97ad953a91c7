"""Remembered verdicts are what `explain` says, whatever changes, and cost nothing while nobody looks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrainer.api import verdicts as verdicts_module
from retrainer.api.rule_summaries import RuleLines
from retrainer.api.verdicts import LOOKED, Verdicts
from retrainer.config.load import load_texts
from retrainer.engine.commands import operator_commands
from retrainer.event import Event
from tests.houses.engine import DrivenEngine
from tests.unit.engine.grammar import BASE, EVENT, RULE, STEPS
from tests.unit.engine.kit import ANY, DAY, START, SUBMIT, data, end, event, start

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACTS = ("pause", "resume", "trigger", "start", "succeed", "fail", "step")


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Callable[..., DrivenEngine]]:
    made: list[DrivenEngine] = []

    def make(*rules: dict[str, Any]) -> DrivenEngine:
        named = [{"name": f"r{n}", "submit": SUBMIT, **rule} for n, rule in enumerate(rules)]
        made.append(DrivenEngine(tmp_path / "store.db", named, START))
        return made[-1]

    yield make
    for each in made:
        each.close()


def book_of(bench: DrivenEngine) -> Verdicts:
    return Verdicts(bench.store, bench.clock, lambda: bench.engine.catalog)


def said(bench: DrivenEngine, book: Verdicts) -> dict[str, tuple[str, str]]:
    book.catch_up()
    return {name: (v.decision, v.reason) for name, v in book.current(list(bench.engine.catalog.rules)).items()}


def act(bench: DrivenEngine, what: str, rule: str) -> None:
    """Do something that may change verdicts; what cannot be done is refused."""
    if what in ("pause", "resume", "trigger"):
        command: Any = getattr(operator_commands, what)
        arguments = {"pause": (rule, ""), "resume": (rule,), "trigger": (rule, "", {}, None, "anna")}[what]
        try:
            bench.act(lambda tx: command(tx, *arguments))
        except (LookupError, ValueError):
            return
    elif what == "start":
        start(bench)
    elif what != "step":
        end(bench, "Succeeded" if what == "succeed" else "Failed")
    bench.engine.turn()


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    rules=st.lists(RULE, min_size=2, max_size=5),
    changes=st.lists(st.tuples(st.one_of(EVENT, st.sampled_from(ACTS)), st.integers(0, 4), STEPS), max_size=8),
)
def test_they_are_what_explain_says(rules: list[dict[str, Any]], changes: list[tuple[Any, int, float]]) -> None:
    texts = {f"r{n}": json.dumps({"version": 1, "rules": [{"name": f"r{n}", **rule}]}) for n, rule in enumerate(rules)}
    loaded, _ = load_texts({"base": json.dumps(BASE), **texts})
    with tempfile.TemporaryDirectory() as folder:
        bench = DrivenEngine(Path(folder) / "store.db", [], START, loaded=loaded)
        lines, book = RuleLines(bench.store, bench.clock, lambda: bench.engine.catalog), book_of(bench)

        def compare() -> None:
            remembered = said(bench, book)
            for name, verdict in book.of(remembered).items():
                asked = lines.explain(name, "")
                assert (asked["decision"], asked["reason"]) == remembered[name]
                if verdict.at == bench.clock.now():
                    assert verdict.verdict == asked["verdict"]

        compare()
        for n, (change, of, seconds) in enumerate(changes):
            if isinstance(change, str):
                act(bench, change, f"r{of}")
            else:
                bench.deliver([Event("push", f"e{n}", "t", bench.clock.time, change)])
            compare()
            bench.clock.time += seconds
            compare()  # the engine has not evaluated what became due
            bench.engine.turn()
            compare()
        bench.close()


def test_only_what_changed_is_made_again(bench: Callable[..., DrivenEngine]) -> None:
    made = bench({"triggers": data({"kind": "a"}, at_least={"events": 3})}, {"triggers": data({"kind": "b"})})
    book = book_of(made)
    said(made, book)
    before = book.of(("r0", "r1"))
    made.deliver([event(1, kind="a")])
    said(made, book)
    after = book.of(("r0", "r1"))
    assert after["r0"] is not before["r0"]
    assert after["r1"] is before["r1"]
    assert "1 of 3" in after["r0"].verdict


def test_a_verdict_is_made_again_once_it_ends(bench: Callable[..., DrivenEngine]) -> None:
    made = bench({"triggers": ANY, "limits": {"cooldown": {"period": "1h", "from": "fired"}, "overlap": "allow_all"}})
    book = book_of(made)
    made.deliver([event(1)])
    made.deliver([event(2)])
    assert said(made, book) == {"r0": ("hold", "cooldown")}
    since = book.of(("r0",))["r0"].since
    assert since == START
    made.clock.time += 3601
    assert said(made, book) == {"r0": ("fire", "due")}


def test_rules_that_are_edited_paused_or_gone(bench: Callable[..., DrivenEngine]) -> None:
    made = bench({"triggers": ANY}, {"triggers": ANY})
    book = book_of(made)
    assert set(said(made, book)) == {"r0", "r1"}
    act(made, "pause", "r0")
    assert said(made, book)["r0"] == ("hold", "paused")
    made.edit([{"name": "r0", "triggers": ANY, "submit": SUBMIT}])
    assert said(made, book) == {"r0": ("hold", "paused")}
    assert book.counts().by == {("hold", "paused"): 1}


def test_it_works_only_while_somebody_looks_and_says_how_far_it_is(
    bench: Callable[..., DrivenEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verdicts_module, "CHUNK", 2)
    made = bench(*[{"triggers": ANY}] * 5)
    book, clock = book_of(made), made.clock
    book.work()
    assert (book.counts().known, book.counts().rules) == (0, 5)
    book.look()
    for share in ("SHARE", "FIRST_SHARE"):
        monkeypatch.setattr(verdicts_module, share, 0.0)
    book.work()
    assert book.counts().known == 0
    monkeypatch.setattr(verdicts_module, "FIRST_SHARE", 1.0)
    book.work()
    assert book.counts().known == 5
    assert book.counts({"r1", "nobody"}).rules == 1
    clock.time += LOOKED + 1
    made.deliver([event(1)])
    before = book.of(("r0",))["r0"]
    book.work()
    assert book.of(("r0",))["r0"] is before


def test_what_changed_while_nobody_looked_is_found_by_the_time_of_the_state(
    bench: Callable[..., DrivenEngine], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = bench({"triggers": data({"kind": "a"}, at_least={"events": 3})}, {"triggers": data({"kind": "b"})})
    book = book_of(made)
    made.deliver([event(1, kind="b")])
    said(made, book)
    untouched = book.of(("r1",))["r1"]
    made.clock.time += LOOKED + 1
    made.deliver([event(2, kind="a")])
    with made.store.write() as conn:
        conn.exec_driver_sql("DELETE FROM events")
    assert "1 of 3" not in book.of(("r0",))["r0"].verdict
    said(made, book)
    assert "1 of 3" in book.of(("r0",))["r0"].verdict
    assert book.of(("r1",))["r1"] is untouched


def test_the_worst_comes_first(bench: Callable[..., DrivenEngine]) -> None:
    broken = {"triggers": data({"kind": "b"}), "limits": {"pause_after_failures": 1}}
    made = bench({"triggers": data({"kind": "i"})}, {"triggers": ANY, "mode": "paused"}, broken)
    made.deliver([event(1, kind="b")])
    end(made, "Failed")
    book = book_of(made)
    said(made, book)
    assert [(v.rule, v.reason) for v in book.worst_first()] == [
        ("r2", "circuit_open"),
        ("r1", "paused"),
        ("r0", "waiting"),
    ]
    assert [v.rule for v in book.worst_first({"r0", "r1"})] == ["r1", "r0"]


def test_a_rule_is_late_after_two_periods_without_success(bench: Callable[..., DrivenEngine]) -> None:
    hourly = {"s": {"schedule": {"cron": "0 * * * *"}}}
    made = bench({"triggers": hourly}, {"triggers": hourly, "mode": "shadow"}, {"triggers": ANY})
    book = book_of(made)
    said(made, book)
    late = {name: verdict.late_at for name, verdict in book.of(("r0", "r1", "r2")).items()}
    assert late == {"r0": START + 7200, "r1": None, "r2": None}
    made.tick(DAY)
    end(made)
    said(made, book)
    assert book.of(("r0",))["r0"].late_at == START + DAY + 7200
