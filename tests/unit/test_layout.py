"""The layout of the package: no import cycles, and one module at the top."""

from __future__ import annotations

from graphlib import TopologicalSorter
from pathlib import Path

import grimp

import retrainer


def test_no_module_imports_itself_through_others() -> None:
    """Imports for type checkers count, too."""
    graph = grimp.build_graph("retrainer")
    TopologicalSorter({module: graph.find_modules_directly_imported_by(module) for module in graph.modules}).prepare()


def test_the_top_of_the_package_has_one_module() -> None:
    package = Path(retrainer.__file__).parent
    assert {path.name for path in package.glob("*.py")} == {"__init__.py", "event.py"}
