"""The correction that each message of docs/reference/configuration-errors.md offers makes its error go away."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from retrainer.config.fields import EXAMPLES
from tests.unit.config.mending import mended
from tests.unit.config.mends import ALTERNATIVES, MENDS, PLACEHOLDERS, WHOLE_FILES
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


@pytest.mark.parametrize(("name", "new"), ALTERNATIVES)
def test_the_other_corrections_of_a_message_are_right_too(name: str, new: str) -> None:
    (mistake,) = (one for found in TABLES.values() for one in found if one.name == name)
    assert [str(left) for left in problems_of(GOOD.replace(mistake.old, new), mistake.file)] == []


@pytest.mark.parametrize(
    ("old", "field"),
    [
        ("pools: {gpu: 4}", "pools"),
        ("budgets: {growth: {gpu_hours: 400, per: 30d}}", "budgets"),
        ("labels: {team: growth}", "labels"),
        ('match: {bucket: features, key: "churn/**"}', "match"),
        ("limits: {overlap: skip, pool: gpu, budget: growth}", "limits"),
        ("at_least: {rows: 20}", "at_least"),
        ("batch: {at_least: {rows: 20}, max_wait: 7d, debounce: 10m}", "batch"),
    ],
)
def test_the_example_for_a_field_without_a_value_is_right(old: str, field: str) -> None:
    (problem,) = problems_of(GOOD.replace(old, f"{field}: "), "rules.yaml")
    example = f"{field}: {EXAMPLES[field]}"
    assert f"`{example}`" in problem.hint
    assert problems_of(GOOD.replace(old, example), "rules.yaml") == []


def test_each_row_is_of_a_mistake() -> None:
    names = [one.name for found in TABLES.values() for one in found]
    assert len(names) == len(set(names))
    assert MENDS.keys() <= {one.name for found in TABLES.values() for one in found if one.old}
    assert WHOLE_FILES.keys() <= {one.name for found in TABLES.values() for one in found if not one.old}
