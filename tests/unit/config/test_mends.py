"""The correction that each message of docs/reference/configuration-errors.md offers makes its error go away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.unit.config.mending import mended
from tests.unit.config.mends import MENDS, PLACEHOLDERS, WHOLE_FILES
from tests.unit.config.mistakes import GOOD, TABLES, problems_of, written

if TYPE_CHECKING:
    from retrainer.config.errors import Problem
    from tests.unit.config.mistake import Mistake

EVERY = [pytest.param(one, id=f"{table}: {one.name}") for table, found in TABLES.items() for one in found]
_BRACES = r"\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\}"
_OFFERED = re.compile(rf"`([^`]+)`|({_BRACES}|\"[^\"]+\")")
_ANY = re.compile("|".join(re.escape(re.escape(one)) for one in PLACEHOLDERS))


def corrected(mistake: Mistake, problem: Problem) -> str:
    """The file after the correction: what the hint offers is put in at its place, or the row of the table is used."""
    if mistake.name in WHOLE_FILES:
        old, new = WHOLE_FILES[mistake.name]
        return mistake.new.replace(old, new) if old else new
    if mistake.name in MENDS:
        mend = MENDS[mistake.name]
        whole = GOOD.replace(mistake.old, mend.new)
        return whole.replace(mend.old, mend.then) if mend.old else whole
    found = mended(written(mistake), problem)
    assert found is not None, f"this correction cannot be put in, so add a row to MENDS: {problem.hint}"
    return found


def is_used(hint: str, text: str) -> bool:
    """Whether one of the texts that a hint offers is in the file, or one that it says to remove is not."""
    offered = [one[0] or one[1] for one in _OFFERED.findall(hint)]
    found = [re.search(_ANY.sub(".+?", re.escape(one.replace('"', ""))), text.replace('"', "")) for one in offered]
    return not offered or any(found) or (hint.startswith("remove") and not found[0])


@pytest.mark.parametrize("mistake", EVERY)
def test_the_correction_makes_the_error_go_away(mistake: Mistake, monkeypatch: pytest.MonkeyPatch) -> None:
    (problem,) = problems_of(written(mistake), mistake.file)
    text = corrected(mistake, problem)
    monkeypatch.setenv("TOKEN", "a token")
    assert [str(left) for left in problems_of(text, mistake.file)] == []
    assert is_used(problem.hint, text), f"something else was written than this: {problem.hint}"


def test_each_row_is_of_a_mistake() -> None:
    names = [one.name for found in TABLES.values() for one in found]
    assert len(names) == len(set(names))
    assert MENDS.keys() <= {one.name for found in TABLES.values() for one in found if one.old}
    assert WHOLE_FILES.keys() <= {one.name for found in TABLES.values() for one in found if not one.old}
