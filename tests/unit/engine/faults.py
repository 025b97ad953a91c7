"""Functions of the product that raise when they are called for the rule `bad` or for a marked event."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from typing import TYPE_CHECKING, Any

import retrainer.engine
import retrainer.rules
from retrainer.event import Event
from retrainer.rules.compile import CompiledRule

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

MARK = "raise"
"""An event whose data has this field makes every function raise."""
_CONTAINING = ("containment", "engine", "queue", "transactions", "transaction_budget", "dead_letters")
"""Modules of the engine that contain the exceptions of other modules."""
_CONTAINS = (
    "engine.core.fold.fold_input",
    "engine.core.fold._contain",
    "engine.core.fold._evaluates",
    "engine.runs.transitions._contained",
    "engine.core.budget_balances.logged",
)


class InjectedError(KeyError):
    """An unexpected error. It is a `LookupError`, like the errors with which commands reject a request."""


def functions() -> Iterator[tuple[str, Callable[..., Any]]]:
    """All functions of `rules` and `engine` that may take a rule, a key, an event or a run, by name."""
    for package in (retrainer.rules, retrainer.engine):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if module.name.rpartition(".")[2] in _CONTAINING:
                continue
            for name, found in vars(importlib.import_module(module.name)).items():
                if inspect.isfunction(found) and found.__module__ == module.name:
                    path = f"{module.name.removeprefix('retrainer.')}.{name}"
                    if path not in _CONTAINS:
                        yield path, found


def rule_of(given: Any) -> str:
    """The name of the rule that ``given`` belongs to; empty if unknown."""
    if isinstance(given, CompiledRule):
        return given.name
    if isinstance(given, str):
        return given
    found = given[0] if type(given) is tuple and given else getattr(given, "rule", "")
    return found if isinstance(found, str) else ""


def concerns(given: Any) -> bool:
    return MARK in given.data if isinstance(given, Event) else rule_of(given) == "bad"


def inject(monkeypatch: pytest.MonkeyPatch, function: Callable[..., Any]) -> list[str]:
    """Make the function raise, in all modules, for arguments that `concerns` matches. The result lists each raise."""
    raised: list[str] = []

    @functools.wraps(function)
    def raising(*args: Any, **kwargs: Any) -> Any:
        if any(concerns(given) for given in (*args, *kwargs.values())):
            raised.append(function.__qualname__)
            raise InjectedError(function.__qualname__)
        return function(*args, **kwargs)

    for name, module in list(sys.modules.items()):
        if name.startswith("retrainer."):
            for attribute, value in list(vars(module).items()):
                if value is function:
                    monkeypatch.setattr(module, attribute, raising)
                elif isinstance(value, dict) and function in value.values():
                    for key, each in list(value.items()):
                        if each is function:
                            monkeypatch.setitem(value, key, raising)
    return raised
