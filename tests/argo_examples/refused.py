"""How often each field is refused."""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.argo_examples.trial import Trial


def fields(trials: Sequence[Trial]) -> str:
    """Return a line for each field: examples that this machine could run, all examples, field, the examples."""
    found: dict[str, dict[str, bool]] = defaultdict(dict)
    for trial in trials:
        for where, why in trial.refused:
            place = re.sub(r"\[\d+\]", "[]", where) + ("" if "does not support" in why else f" ({why[:80]})")
            found[place][trial.example.name] = trial.possible
    lines = [(sum(names.values()), len(names), place, names) for place, names in found.items()]
    lines.sort(key=lambda line: (-line[0], -line[1], line[2]))
    shown = (f"{ours:3} {whole:3} {place}\n        {', '.join(names)}\n" for ours, whole, place, names in lines)
    return "possible here, all, field\n" + "".join(shown)
