"""The engine compiles any valid rules, and accepts any events and any clock steps."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from retrainer.config.load import load_texts
from retrainer.event import Event
from retrainer.rules.explain import explain
from retrainer.rules.fold import first_state
from retrainer.rules.lint import lint
from retrainer.rules.period import periods
from retrainer.store import statements
from tests.houses.engine import DrivenEngine
from tests.unit.engine.grammar import BASE, EVENT, RULE, STEPS
from tests.unit.engine.kit import START


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(rules=st.lists(RULE, min_size=4, max_size=8), emitted=st.lists(st.tuples(EVENT, STEPS), max_size=6))
def test_what_is_valid_runs_whatever_comes(
    rules: list[dict[str, Any]], emitted: list[tuple[dict[str, Any], float]]
) -> None:
    named = [{"name": f"r{i}", **rule} for i, rule in enumerate(rules)]
    texts = {str(rule["name"]): json.dumps({"version": 1, "rules": [rule]}) for rule in named}
    configuration, problems = load_texts({"base": json.dumps(BASE), **texts})
    assert not [str(problem) for problem in problems if "internal error" in problem.message]
    with tempfile.TemporaryDirectory() as folder:
        bench = DrivenEngine(Path(folder) / "store.db", [], START, loaded=configuration)
        clock, store, engine = bench.clock, bench.store, bench.engine
        for i, (data, seconds) in enumerate(emitted):
            assert len(bench.deliver([Event("push", f"e{i}", "t", clock.time, data)])) == 1
            clock.time += seconds
            engine.turn()
        compiled = engine.catalog.rules
        assert isinstance(periods(compiled, clock.time), dict)
        assert list(lint(list(compiled.values()), clock.time, configuration.pools)) is not None
        for rule in compiled.values():
            state = store.read(lambda conn, name=rule.name: statements.state_of(conn, name, ""))
            assert explain(rule.of_key(""), "", state or first_state(rule, "", clock.time), clock.time, None)
        bench.close()
