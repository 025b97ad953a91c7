"""A house of its own for each test; the broker is shared, so topics and groups have names of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.house import House

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    house = House(tmp_path / "retrainer.db")
    yield house
    house.close()
