"""Notation of values over time: `0x10 0.3x30 _x5` is ten times 0, thirty times 0.3, and five times no sample."""

from __future__ import annotations

import math
import re
from enum import Enum

_NUMBER = r"[-+]?(?:\d+(?:\.\d*)?|\.\d+)"
_PART = re.compile(rf"(?P<what>_|NaN|error|{_NUMBER})(?P<step>[-+](?:\d+(?:\.\d*)?|\.\d+))?(?:x(?P<times>\d+))?")
MOST = 1_000_000


class Gap(Enum):
    """Placeholders for a missing value."""

    MISSING = "_"
    """The series does not exist."""
    ERROR = "error"
    """The source does not answer."""


Value = float | None | Gap
"""None for a series whose value is not a number (NaN)."""


def read(text: str) -> list[Value]:
    """Parse the notation. Raise ValueError; the message says how to fix it."""
    values: list[Value] = []
    for part in text.split():
        found = _PART.fullmatch(part)
        if found is None:
            raise ValueError(
                f"`{part}` is not a value: write 0.3, 0.3x10 (ten times), 0.1+0.05x10 (rising), _, NaN or error"
            )
        values += _values(found)
        if len(values) > MOST:
            raise ValueError(f"more than {MOST} values: write fewer, or a longer `every`")
    if not values:
        raise ValueError("no values: write some, such as 0x10 0.3x30")
    return values


def _values(found: re.Match[str]) -> list[Value]:
    what, step, times = found["what"], found["step"], int(found["times"] or 1)
    if times > MOST:
        raise ValueError(f"more than {MOST} values: write fewer, or a longer `every`")
    if what in ("_", "error", "NaN"):
        if step is not None:
            raise ValueError(f"`{found[0]}` is not a value: only a number can rise or fall")
        return [None if what == "NaN" else Gap(what)] * times
    start, rise = float(what), float(step or 0)
    return [_rounded(start + n * rise) for n in range(times)]


def _rounded(value: float) -> float:
    """Round to 12 decimals after the first digit, so that 0.1 + 2 * 0.1 is 0.3."""
    return value if value == 0 else round(value, 12 - math.floor(math.log10(abs(value))))
