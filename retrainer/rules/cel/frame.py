"""The frame: the data of one evaluation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Frame: TypeAlias = list[Any]
"""The scope (a map of names to values), the remaining steps, the patterns matched so far, then one place for each
variable of a macro."""
FIRST_PLACE = 3
Evaluate: TypeAlias = Callable[[Frame], Any]
