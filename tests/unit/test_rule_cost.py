"""The cost of showing one rule does not depend on the number of rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import event

from retrainer.api.rule_summaries import RuleLines
from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import ANY, START, SUBMIT

if TYPE_CHECKING:
    from pathlib import Path


def asked(folder: Path, rules: int) -> tuple[dict[str, Any], int]:
    """The response about the first of ``rules`` rules, and its number of SQL statements."""
    folder.mkdir()
    bench = DrivenEngine(
        folder / "store.db", [{"name": f"r{n}", "triggers": ANY, "submit": SUBMIT} for n in range(rules)], START
    )
    lines = RuleLines(bench.store, bench.clock, lambda: bench.engine.catalog)
    statements: list[str] = []
    event.listen(bench.store._engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
    line = lines.detail("r0")
    bench.store.close()
    return line, len(statements)


def test_it_is_as_many_statements_with_many_rules_as_with_one(tmp_path: Path) -> None:
    (few, cost), (many, cost_of_many) = asked(tmp_path / "few", 1), asked(tmp_path / "many", 60)
    assert few["name"] == many["name"] == "r0"
    assert cost_of_many == cost <= 15


def test_one_that_is_not_there_is_a_lookup_error(tmp_path: Path) -> None:
    with pytest.raises(LookupError):
        asked(tmp_path / "none", 0)
