"""Tests wait for conditions, never for time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, timeout: float = 60.0) -> T:
    """What ``look`` sees once it is there and true; the test fails if it is not within so many seconds."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)
    return found
