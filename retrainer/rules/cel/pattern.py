"""Match patterns in linear time: all paths through the program at once, cached as a table of states.

The method is that of RE2 (https://swtch.com/~rsc/regexp/regexp1.html). States are cached for the next text, but
charged as if they were not, so that an evaluation takes the same steps whatever was evaluated before.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.cel.regex_program import program
from retrainer.rules.cel.regex_syntax import END, MAX_LENGTH, Assertion, Fork, One
from retrainer.rules.cel.values import charge, shown

if TYPE_CHECKING:
    from retrainer.rules.cel.frame import Frame

_KEPT = 5000
"""Maximum number of cached moves per pattern."""
MOST_KEPT = 500_000
"""Maximum number of cached program positions of all patterns together: about 64 bytes each."""
_CHARACTERS_A_STEP = 2
_STEPS_A_SIGN = 8
"""Steps for each character of a pattern when it is parsed, also if it is invalid."""
_State: TypeAlias = "dict[str, _Move]"
_Core: TypeAlias = tuple[frozenset[int], str]


class _Move:
    """The state that a character leads to; None if the text has matched. ``cost`` is the cost of computing it."""

    __slots__ = ("cost", "to")

    def __init__(self, to: _State | None, cost: int) -> None:
        self.to = to
        self.cost = cost


class _Memory:
    """Number of program positions in the tables of all patterns."""

    places = 0


class _Table:
    """The cached states of a pattern by their positions in the program, and the positions by state."""

    __slots__ = ("cores", "moves", "states")

    def __init__(self) -> None:
        self.states: dict[_Core, _State] = {}
        self.cores: dict[int, _Core] = {}
        self.moves = 0

    def state(self, core: frozenset[int], before: str) -> _State:
        state = self.states.get((core, before))
        if state is None:
            state = self.states.setdefault((core, before), {})
            self.cores[id(state)] = core, before
            _Memory.places += 1 + len(core)
        return state


class Pattern:
    """A compiled pattern. Raise ValueError if it is invalid."""

    def __init__(self, text: str) -> None:
        self._steps, self._first = program(text)
        self.size = len(self._steps) + 1
        self._table = _Table()

    def table(self) -> _Table:
        """The current table; a new one if it has become too large."""
        if self._table.moves > _KEPT:
            self._table = _Table()
        return self._table

    def found_in(self, text: str, table: _Table, seen: set[_Move], frame: Frame) -> bool:
        """Whether any part of the text matches. ``seen`` are the moves that this evaluation has been charged for."""
        charge(frame, len(text) // _CHARACTERS_A_STEP)
        state = table.state(frozenset((self._first,)), "")
        for character in text:
            move = state.get(character)
            if move is None:
                move = state.setdefault(character, self._move(table, state, character))
                table.moves += 1
            if move not in seen:
                seen.add(move)
                charge(frame, move.cost)
            if move.to is None:
                return True
            state = move.to
        core, before = table.cores[id(state)]
        charge(frame, 2 * len(core))
        return END in self._closure(core, before, "")

    def _move(self, table: _Table, state: _State, character: str) -> _Move:
        closed = self._closure(*table.cores[id(state)], character)
        cost = 12 + 3 * len(closed)
        if END in closed:
            return _Move(None, cost)
        after = {self._first}
        for i in closed:
            step = self._steps[i]
            if isinstance(step, One):
                cost += 1 + len(step.ranges) // 2
                if step.takes(character):
                    after.add(step.then)
        before = "w" if _is_word(character) else "\n" if character == "\n" else "."
        return _Move(table.state(frozenset(after), before), cost)

    def _closure(self, core: frozenset[int], before: str, after: str) -> set[int]:
        """All steps that are reached without a character. ``before`` is "" at the start, ``after`` at the end."""
        found: set[int] = set()
        left = list(core)
        while left:
            i = left.pop()
            if i in found:
                continue
            found.add(i)
            step = self._steps[i] if i != END else None
            if isinstance(step, Fork):
                left += step.ways
            elif isinstance(step, Assertion) and _holds(step.kind, before, after):
                left.append(step.then)
        return found


def _holds(kind: str, before: str, after: str) -> bool:
    edge = (before == "w") != _is_word(after)
    return {
        "start": before == "",
        "end": after == "",
        "line_start": before in ("", "\n"),
        "line_end": after in ("", "\n"),
        "edge": edge,
        "inside": not edge,
    }[kind]


def _is_word(character: str) -> bool:
    return character.isascii() and (character.isalnum() or character == "_")


def matches_whole(text: str, pattern: str) -> bool:
    """Whether a whole text matches, in linear time. For short texts. Raise ValueError for an invalid pattern."""
    known = compiled(f"^(?:{pattern})$")
    return known.found_in(text, known.table(), set(), [None, sys.maxsize])


@lru_cache(maxsize=128)
def compiled(text: str) -> Pattern:
    """Compile a pattern. Raise ValueError with the reason if it is invalid."""
    return Pattern(text)


def matches(frame: Frame, text: str, pattern: str) -> bool:
    """Whether a part of the text matches. Raise ExpressionError for an invalid pattern."""
    if frame[2] is None:
        frame[2] = {}
    if pattern not in frame[2]:
        if _Memory.places > MOST_KEPT:
            compiled.cache_clear()
            _Memory.places = 0
        charge(frame, _STEPS_A_SIGN * min(len(pattern), MAX_LENGTH))
        try:
            made = compiled(pattern)
        except ValueError as error:
            raise ExpressionError(f"{shown(pattern)} is no pattern: {error}") from None
        charge(frame, 50 + 15 * made.size)
        frame[2][pattern] = made, made.table(), set()
    known, table, seen = frame[2][pattern]
    return bool(known.found_in(text, table, seen, frame))
