"""Compile each rule when it is loaded, with the code that the engine uses, so that every valid rule can run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from retrainer.config.violation import Violation, check_read
from retrainer.rules.compile import compile_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from retrainer.config.models import Calendar, Rule

T = TypeVar("T")


def check_compile(rule: Rule, calendars: Mapping[str, Calendar]) -> Iterator[Violation]:
    """Compile the rule; what raises ValueError is a violation. ``calendars`` has all calendars that the rule names."""
    return check_read((), lambda checked: compile_rule(checked, "", calendars), rule)


def contained(findings: Iterable[Violation]) -> Iterator[Violation]:
    """The violations of a check. If it raises an error, that is a bug here, and is reported for this part only."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - the other files must still be loaded
        yield internal(error)


def internal(error: Exception) -> Violation:
    what = f"internal error: {type(error).__name__}: {error}"
    return Violation((), what, "remove it, and report a bug with these lines")
