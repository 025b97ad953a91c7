from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.houses.engine import DrivenEngine
from tests.unit.engine.kit import ANY, START, SUBMIT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def make(tmp_path: Path) -> Any:
    """Creates benches with the given rules. Missing fields of a rule are filled in."""
    benches: list[DrivenEngine] = []

    def build(*rules: dict[str, Any], pools: dict[str, int] | None = None) -> DrivenEngine:
        full = [{"name": f"rule-{i}", "triggers": ANY, "submit": SUBMIT, **rule} for i, rule in enumerate(rules)]
        benches.append(DrivenEngine(tmp_path / "store.db", full, START, pools))
        return benches[-1]

    yield build
    for bench in benches:
        bench.store.close()
