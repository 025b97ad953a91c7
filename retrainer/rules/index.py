"""Which triggers an event concerns: an index over the `match` parts of all triggers.

The cost of an event grows with the triggers whose equalities and literal beginnings it meets, not with the number of
rules.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from retrainer.rules.glob import literal_prefix
from retrainer.rules.match import look_up

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from retrainer.event import Event
    from retrainer.rules.match import Condition


class Asking(Protocol):
    """A trigger that wants events of a source that meet conditions."""

    @property
    def source(self) -> str: ...
    @property
    def conditions(self) -> tuple[Condition, ...]: ...


T = TypeVar("T", bound=Asking)
_Path = tuple[str, ...]
_FEW = 4
"""So many triggers are asked one after the other; only more of them are told apart by an index."""


@dataclass(frozen=True, slots=True)
class _Asked(Generic[T]):
    """A trigger on its way through the index: the conditions to tell it apart by, and those still to be asked."""

    trigger: T
    by: tuple[Condition, ...]
    left: tuple[Condition, ...]

    def past(self, condition: Condition) -> _Asked[T]:
        """One step further. A prefix only lets a glob be asked, an equality has been answered."""
        left = self.left if condition.glob is not None else tuple(c for c in self.left if c is not condition)
        return _Asked(self.trigger, self.by[1:], left)


class _Node(Generic[T]):
    """Triggers whose conditions so far are met: ``asked`` one by one, the others found by what their next one names."""

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
    """Nodes by a text's beginning; a look-up for each length that occurs, however many beginnings there are."""

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
    """Triggers by source, then by their equalities, then by what their globs begin with.

    Conditions stand in one order for all triggers, so that many rules of one shape share their steps. What has neither
    an equality nor a literal beginning is asked for every event of its source. A value is looked up together with
    whether it is a boolean, as Python takes `true` and 1 for the same key.
    """

    def __init__(self, triggers: Iterable[T]) -> None:
        by_source: dict[str, list[_Asked[T]]] = defaultdict(list)
        for trigger in triggers:
            by_source[trigger.source].append(_Asked(trigger, _steps(trigger.conditions), trigger.conditions))
        self._roots = {source: _Node(asked) for source, asked in by_source.items()}
        self.sources: frozenset[str] = frozenset(self._roots)

    def candidates(self, event: Event) -> Iterator[T]:
        """Triggers whose `match` the event meets; `where` is still to be asked."""
        root = self._roots.get(event.source)
        nodes = [root] if root is not None else []
        for node in nodes:  # it grows while we go through it
            for trigger, left in node.asked:
                if not left or all(c.holds(event) for c in left):
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
    """The conditions that an index can answer: equalities, then globs by their beginnings, each by path."""
    equal = sorted((c for c in of if c.glob is None), key=lambda c: c.path)
    globs = sorted((c for c in of if c.glob is not None and literal_prefix(str(c.expected))), key=lambda c: c.path)
    return (*equal, *globs)
