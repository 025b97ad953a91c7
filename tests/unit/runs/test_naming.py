import re

import pytest

from retrainer.runs.naming import workflow_name

ULID = "01JB2M0Q8K5W4Z3Y2X1V0T9S8R"


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        pytest.param("churn", "churn-01jb2m0q8k5w4z3y2x1v0t9s8r", id="short"),
        pytest.param("r" * 63, "r" * 36 + "-01jb2m0q8k5w4z3y2x1v0t9s8r", id="cut to 36"),
        pytest.param("a" * 35 + "-b", "a" * 35 + "-01jb2m0q8k5w4z3y2x1v0t9s8r", id="no two dashes where it was cut"),
    ],
)
def test_a_workflow_is_named_after_its_rule_and_run(rule: str, expected: str) -> None:
    name = workflow_name(rule, ULID)
    assert name == expected
    assert len(name) <= 63
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", name)
