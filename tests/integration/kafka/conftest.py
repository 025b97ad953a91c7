"""An engine for each test. The broker is shared, so tests use their own topics and groups."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.houses.engine import RunningEngine

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[RunningEngine]:
    house = RunningEngine(tmp_path / "retrainer.db")
    yield house
    house.close()
