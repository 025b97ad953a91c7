"""Find the triggers that an event matches: an index over the `match` conditions of all triggers.

The cost of an event grows with the number of triggers whose equalities and literal prefixes it matches, not with the
number of rules.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from retrainer.rules.glob import literal_prefix
from retrainer.rules.match import Condition, look_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from retrainer.event import Event


class Asking(Protocol):
    """A trigger that selects events of a source by conditions."""

    @property
    def source(self) -> str: ...
    @property
    def conditions(self) -> tuple[Condition, ...]: ...


T = TypeVar("T", bound=Asking)
_Path = tuple[str, ...]
_FEW = 4
"""Up to this many triggers are checked one after the other; an index is built only for more."""


@dataclass(frozen=True, slots=True)
class _Asked(Generic[T]):
    """A trigger while the index is built: the conditions to index it by, and those still to be checked."""

    trigger: T
    by: tuple[Condition, ...]
    left: tuple[Condition, ...]

    def past(self, condition: Condition) -> _Asked[T]:
        """One level deeper. A prefix only narrows down a glob, which is still to be checked; an equality is settled."""
        left = self.left if condition.glob is not None else tuple(c for c in self.left if c is not condition)
        return _Asked(self.trigger, self.by[1:], left)


class _Node(Generic[T]):
    """Triggers whose conditions so far hold: ``asked`` are checked one by one, others are found by their next one."""

    __slots__ = ("asked", "equal", "prefixes")

    def __init__(self, triggers: Sequence[_Asked[T]]) -> None:
        few = len(triggers) <= _FEW
        self.asked = [(a.trigger, a.left) for a in triggers if few or not a.by]
        equal: dict[_Path, dict[tuple[bool, Any], list[_Asked[T]]]] = defaultdict(lambda: defaultdict(list))
        prefixes: dict[_Path, dict[str, list[_Asked[T]]]] = defaultdict(lambda: defaultdict(list))
        for asked in () if few else (a for a in triggers if a.by):
            first = asked.by[0]
            if first.glob is None:
                equal[first.path][isinstance(first.expected, bool), first.expected].append(asked.past(first))
            else:
                prefixes[first.path][literal_prefix(str(first.expected))].append(asked.past(first))
        self.equal = {path: {value: _Node(of) for value, of in by.items()} for path, by in equal.items()}
        self.prefixes = {path: _Prefixes({p: _Node(of) for p, of in by.items()}) for path, by in prefixes.items()}


class _Prefixes(Generic[T]):
    """Nodes by literal prefix: one look-up per distinct prefix length, however many prefixes there are."""

    __slots__ = ("_lengths", "_nodes")

    def __init__(self, nodes: Mapping[str, _Node[T]]) -> None:
        self._nodes = nodes
        self._lengths = sorted({len(prefix) for prefix in nodes})

    def of(self, text: str) -> list[_Node[T]]:
        found: list[_Node[T]] = []
        for length in self._lengths:
            if length > len(text):
                break
            node = self._nodes.get(text[:length])
            if node is not None:
                found.append(node)
        return found


class Index(Generic[T]):
    """Triggers by source, then by their equalities, then by the literal prefixes of their globs.

    Conditions have one order for all triggers, so that many similar rules share nodes. A trigger with neither an
    equality nor a literal prefix is checked for every event of its source. The key of a value includes whether it is a
    boolean, as `True` and 1 are the same key in Python.
    """

    def __init__(self, triggers: Iterable[T]) -> None:
        by_source: dict[str, list[_Asked[T]]] = defaultdict(list)
        for trigger in triggers:
            by_source[trigger.source].append(_Asked(trigger, _steps(trigger.conditions), trigger.conditions))
        self._roots = {source: _Node(asked) for source, asked in by_source.items()}
        self.sources: frozenset[str] = frozenset(self._roots)

    def candidates(self, event: Event) -> Iterator[T]:
        """Triggers whose `match` holds for the event. Their `where` is not checked."""
        root = self._roots.get(event.source)
        nodes = [root] if root is not None else []
        for node in nodes:  # the list grows during the loop
            for trigger, left in node.asked:
                for condition in left:  # not all(): a generator costs more than most conditions
                    if not condition.holds(event):
                        break
                else:
                    yield trigger
            for path, by_value in node.equal.items():
                value = look_up(event, path)
                if isinstance(value, (str, int, float)):
                    found = by_value.get((value is True or value is False, value))
                    if found is not None:
                        nodes.append(found)
            for path, prefixes in node.prefixes.items():
                value = look_up(event, path)
                if isinstance(value, str):
                    nodes += prefixes.of(value)


def _steps(of: tuple[Condition, ...]) -> tuple[Condition, ...]:
    """The conditions that can be indexed: equalities, then globs with a literal prefix, each sorted by path."""
    equal = sorted((c for c in of if c.glob is None), key=lambda c: c.path)
    globs = sorted((c for c in of if c.glob is not None and literal_prefix(str(c.expected))), key=lambda c: c.path)
    return (*equal, *globs)
