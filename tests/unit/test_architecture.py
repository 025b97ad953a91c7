"""docs/concepts/architecture.md names modules and functions that exist."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "concepts" / "architecture.md").read_text()
STEPS = re.findall(r"^\d+\. `(retrainer/[\w/]+\.py)` `([\w.]+)`", PAGE, re.MULTILINE)
PAGES = sorted((ROOT / "docs").rglob("*.md"))


def names(path: Path) -> set[str]:
    """Functions, classes and their methods, as `Class.method`."""
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {
                f"{node.name}.{each.name}"
                for each in node.body
                if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
            }
    return found


def test_the_page_leads_from_a_request_to_a_run_and_back() -> None:
    assert len(STEPS) > 40


@pytest.mark.parametrize(("path", "function"), STEPS)
def test_each_step_of_the_walk_exists(path: str, function: str) -> None:
    assert function in names(ROOT / path)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT / "docs")))
def test_paths_of_the_source_exist(page: Path) -> None:
    named = set(re.findall(r"`((?:retrainer|tests|deploy|study)/[\w./-]+\.(?:py|sh|yaml|json))`", page.read_text()))
    assert sorted(path for path in named if not (ROOT / path).exists()) == []
