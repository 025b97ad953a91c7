"""A rule is compiled as it is read, by the very code that the engine runs: what is valid can be run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from retrainer.config.check_secrets import said
from retrainer.config.violation import Violation
from retrainer.rules.compile import compile_rule

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from retrainer.config.models import Calendar, Rule

T = TypeVar("T")


def check_compile(rule: Rule, calendars: Mapping[str, Calendar]) -> Iterator[Violation]:
    """``calendars`` has all that the rule names."""
    try:
        compile_rule(rule, "", calendars)
    except ValueError as error:
        yield said((), error)


def contained(findings: Iterable[Violation]) -> Iterator[Violation]:
    """What a check raises is a mistake of ours, and a problem of that part alone."""
    try:
        yield from findings
    except Exception as error:  # noqa: BLE001 - whatever it is, the other files must be read
        yield internal(error)


def internal(error: Exception) -> Violation:
    what = f"internal error: {type(error).__name__}: {error}"
    return Violation((), what, "leave it out, and report it together with these lines")
