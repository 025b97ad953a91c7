"""Injects one fault into any function or method of `rules` and `engine`, for calls on behalf of one rule."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from sqlalchemy import Connection
from sqlalchemy.exc import IntegrityError

import retrainer.engine
import retrainer.rules
from retrainer.rules import compile as compile_rules
from retrainer.store.base import StoreBusyError
from tests.unit.engine.faults import functions, rule_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

BAD = "bad"
"""The rule whose evaluation raises."""
_OURS = (str(Path(retrainer.engine.__file__).parents[1]), __file__)
"""Frames in these files belong to the product, or are between two frames of it."""
DEPTH = 60
"""Frames above a call that are searched for a rule."""
_MECHANISM = {
    "_Look": "what triggers make of one event, those that raise among them",
    "_Read": "as _Look",
    "Arrivals": "takes an event to one rule after the other, and contains what they raise",
    "WriteBuffer": "what all units of work write into",
    "_Intake": "as Arrivals",
    "Engine": "the thread",
}
"""Classes that contain exceptions or that all rules share. `tests.unit.engine.faults` excludes such modules."""
_CONTAINING = ("Transaction.settle", "Transaction.take", "Transaction.flush", "States.flush")


@dataclass(frozen=True, slots=True)
class Place:
    """A function: the attribute ``name`` of ``owner``, a class or a module."""

    path: str
    owner: Any
    name: str
    function: Callable[..., Any]


def places() -> Iterator[Place]:
    """Every function and every method of `rules` and `engine` that a fault may be put into."""
    for path, function in functions():
        yield Place(path, sys.modules[function.__module__], function.__name__, function)
    contained = {path.rpartition(".")[0] for path, _ in functions()}
    for package in (retrainer.rules, retrainer.engine):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = importlib.import_module(found.name)
            path = found.name.removeprefix("retrainer.")
            for owner in vars(module).values():
                if not inspect.isclass(owner) or owner.__module__ != found.name or owner.__name__ in _MECHANISM:
                    continue
                if Protocol in owner.__mro__:
                    continue
                if path in contained or path in ("engine.core.transaction", "engine.core.states"):
                    yield from _methods(path, owner)


def _methods(path: str, owner: type) -> Iterator[Place]:
    for name, member in vars(owner).items():
        if inspect.isfunction(member) and not name.startswith("__") and f"{owner.__name__}.{name}" not in _CONTAINING:
            yield Place(f"{path}.{owner.__name__}.{name}", owner, name, member)


PLACES = {place.path: place for place in places()}


class ViolatedError(IntegrityError):
    """Has the same message for every store."""

    def __str__(self) -> str:
        return "a constraint was violated"


def _violate(conn: Connection | None) -> None:
    """Run a statement that fails on any store. On PostgreSQL the transaction is unusable until it is rolled back."""
    try:
        if conn is not None:
            conn.exec_driver_sql("INSERT INTO meta (name, value) VALUES (NULL, NULL)")
    except IntegrityError as error:
        raise ViolatedError("INSERT", {}, error.orig or ValueError()) from None
    raise ViolatedError("INSERT", {}, ValueError("a constraint"))


def _busy(_: Connection | None) -> None:
    raise StoreBusyError("the store is busy, for once")


ERRORS = (KeyError, ValueError, OverflowError, RecursionError, AssertionError, TypeError, UnicodeEncodeError)
KINDS = (*(error.__name__ for error in ERRORS), "statement", "busy")
ALWAYS, ONCE, SOMETIMES = "always", "once", "sometimes"


@dataclass(slots=True)
class Fault:
    """A fault of one kind in one place. ``when``: at every call, at the ``number``-th, or at about a third of them.

    Calls are counted for each side, so that sides with the same inputs fail alike. ``busy`` is raised once.
    """

    place: Place
    kind: str
    when: str
    number: int

    def raises(self, call: int) -> bool:
        if self.when == ONCE or self.kind == "busy":
            return call == self.number
        return self.when == ALWAYS or hash((call, self.number)) % 3 == 0

    def raise_it(self, conn: Connection | None) -> None:
        if self.kind == "statement":
            _violate(conn)
        if self.kind == "busy":
            _busy(conn)
        error: Any = next(error for error in ERRORS if error.__name__ == self.kind)
        raise (
            error("utf-8", "\ud800", 0, 1, "boom") if error is UnicodeEncodeError else error(f"boom {self.place.path}")
        )


class Switchboard:
    """Wraps all places, and raises the fault in calls on behalf of `BAD` while ``side`` is set."""

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self.side = ""
        self.rules: frozenset[str] = frozenset()
        """Names of all rules."""
        self.calls: Counter[str] = Counter()
        self.raised: Counter[str] = Counter()
        self.reached: dict[str, None] = {}
        """Places that were called on behalf of `BAD`, in the order of their first call."""
        self.known: list[str] = []
        """Paths of the places where a fault has an effect."""

    @contextmanager
    def wired(self) -> Iterator[None]:
        undo: list[Callable[[], None]] = []
        before = {place.function: functools.wraps(place.function)(self._before(place)) for place in PLACES.values()}
        try:
            for place in PLACES.values():
                if inspect.isclass(place.owner):
                    setattr(place.owner, place.name, before[place.function])
                    undo.append(functools.partial(setattr, place.owner, place.name, place.function))
            for name, module in list(sys.modules.items()):
                if name.startswith("retrainer."):
                    undo += _swapped(vars(module), before)
                    for value in list(vars(module).values()):
                        undo += _swapped(value, before) if isinstance(value, dict) else []
            yield
        finally:
            for each in reversed(undo):
                each()

    def put_in(self, fault: Fault) -> None:
        self.calls.clear()
        self.raised.clear()
        self.fault = fault

    def take_out(self) -> None:
        self.fault = None

    @contextmanager
    def on(self, side: str) -> Iterator[None]:
        """Attribute the calls to ``side`` meanwhile. Nothing is raised if it is empty."""
        before, self.side = self.side, side
        try:
            yield
        finally:
            self.side = before

    def _before(self, place: Place) -> Callable[..., Any]:
        def raising(*args: Any, **kwargs: Any) -> Any:
            if self.side:
                self._called(place, (*args, *kwargs.values()))
            return place.function(*args, **kwargs)

        return raising

    def _called(self, place: Place, given: tuple[Any, ...]) -> None:
        fault = self.fault if self.fault is not None and self.fault.place is place else None
        if (place.path in self.reached and fault is None) or not self._on_behalf(given):
            return
        self.reached.setdefault(place.path)
        if fault is not None:
            self.calls[self.side] += 1
            if fault.raises(self.calls[self.side]):
                self.raised[self.side] += 1
                fault.raise_it(_connection(given))

    def _on_behalf(self, given: Iterable[Any]) -> bool:
        """Whether the call, or the nearest of its callers with a rule among its arguments, is about `BAD`."""
        frame: Any = sys._getframe(3)
        for _ in range(DEPTH):
            named = {name for each in given if (name := rule_of(each)) in self.rules}
            if named:
                return BAD in named
            if frame is None:
                return False
            code, known = frame.f_code, frame.f_locals
            if not code.co_filename.startswith(_OURS):
                return False
            given = [known.get(name) for name in code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]]
            frame = frame.f_back
        return False


def forget_what_is_remembered(*, rules: bool = True) -> None:
    """Clear all caches, because cached results change how often a function is called in this example."""
    if rules:
        compile_rules._KEPT.clear()
    for cached in _remembering():
        cached.cache_clear()


@functools.cache
def _remembering() -> list[Any]:
    modules = [
        module for name, module in sys.modules.items() if name.startswith(("retrainer.rules", "retrainer.engine"))
    ]
    return [value for module in modules for value in vars(module).values() if hasattr(value, "cache_clear")]


def _swapped(
    where: dict[Any, Any], before: dict[Callable[..., Any], Callable[..., Any]]
) -> Iterator[Callable[[], None]]:
    """Replace the known functions in a namespace; yield a function to undo each replacement."""
    for name, value in list(where.items()):
        if inspect.isfunction(value) and value in before:
            where[name] = before[value]
            yield functools.partial(where.__setitem__, name, value)


def _connection(given: tuple[Any, ...]) -> Connection | None:
    for each in given:
        if isinstance(each, Connection):
            return each
        if isinstance(conn := getattr(each, "conn", None), Connection):
            return conn
    return None
