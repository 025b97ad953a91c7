"""A house of its own for each test; the broker is shared, so topics and groups have names of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.sources.kafka import consumer
from tests.integration.house import House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(autouse=True)
def short_session(monkeypatch: pytest.MonkeyPatch) -> None:
    """The group misses a member sooner."""
    monkeypatch.setattr(consumer, "SESSION_MS", 3000)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "retrainer.db")
    yield house
    house.close()
