"""Helper to wait for a condition instead of sleeping for a fixed time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


def until(look: Callable[[], T | None], what: str, timeout: float = 60.0) -> T:
    """Poll ``look`` and return its first true value. Fail the test if there is none within ``timeout`` seconds."""
    deadline = time.monotonic() + timeout
    while not (found := look()):
        assert time.monotonic() < deadline, f"never came true: {what}"
        time.sleep(0.01)
    return found
