"""In-memory cache of the states of (rule, key). It changes only after a commit; the store is authoritative."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.state import State, decode
from retrainer.store import statements

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from sqlalchemy import Connection

    from retrainer.rules.outcome import Decision

MAX_STATES = 20_000


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """The stored row of consecutive equal decisions."""

    id: int
    decision: Decision
    first_at: float
    count: int


@dataclass(frozen=True, slots=True)
class Entry:
    """A state. ``id`` is the id of its row, ``revision`` the revision of the rule at its last evaluation."""

    id: int
    revision: str
    state: State
    record: DecisionRecord | None = None


class Cache:
    def __init__(self) -> None:
        self._entries: OrderedDict[tuple[str, str], Entry] = OrderedDict()
        self._keys: dict[str, int] = {}

    def get(self, conn: Connection, rule: str, key: str) -> Entry | None:
        """Return a state from memory or the store, or None."""
        entry = self._entries.get((rule, key))
        if entry is not None:
            self._entries.move_to_end((rule, key))
            return entry
        row = statements.state_row(conn, rule, key)
        return Entry(row.id, row.revision, decode(row.state)) if row else None

    def keys(self, conn: Connection, rule: str) -> int:
        """Return the number of keys of a rule that have a state."""
        if rule not in self._keys:
            self._keys[rule] = statements.count_keys(conn, rule)
        return self._keys[rule]

    def commit(self, changed: Mapping[tuple[str, str], Entry], forgotten: Iterable[tuple[str, str]] = ()) -> None:
        """Apply the changes of a committed transaction."""
        for where in forgotten:
            self._entries.pop(where, None)
            self._keys.pop(where[0], None)
        for where, entry in changed.items():
            if where not in self._entries:
                self._keys.pop(where[0], None)
            self._entries[where] = entry
            self._entries.move_to_end(where)
        while len(self._entries) > MAX_STATES:
            self._entries.popitem(last=False)
