"""Patterns matched in linear time: all ways through the program at once, remembered as a table of states.

The method of RE2 (https://swtch.com/~rsc/regexp/regexp1.html). What was worked out is kept for the next text; counted
is as if it were not, so that an evaluation takes the same steps whatever came before.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

from retrainer.rules.cel.errors import ExpressionError
from retrainer.rules.cel.regex_syntax import END, MAX_LENGTH, Assertion, Fork, One, program
from retrainer.rules.cel.values import charge, shown

if TYPE_CHECKING:
    from retrainer.rules.cel.frame import Frame

_KEPT = 5000
"""Moves that are remembered of a pattern."""
MOST_KEPT = 500_000
"""Places in programs that are remembered of all patterns together: about 64 bytes each."""
_CHARACTERS_A_STEP = 2
_STEPS_A_SIGN = 8
"""Reading a pattern, also one that turns out to be none."""
_State: TypeAlias = "dict[str, _Move]"
_Core: TypeAlias = tuple[frozenset[int], str]


class _Move:
    """Where a character leads from a state; None if it has matched. ``cost`` is what working it out takes."""

    __slots__ = ("cost", "to")

    def __init__(self, to: _State | None, cost: int) -> None:
        self.to = to
        self.cost = cost


class _Memory:
    """How many places the tables of all patterns remember."""

    places = 0


class _Table:
    """What was worked out of a pattern: states by where they are in the program, and the other way round."""

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
    """A compiled pattern. Raise ValueError if it is none."""

    def __init__(self, text: str) -> None:
        self._steps, self._first = program(text)
        self.size = len(self._steps) + 1
        self._table = _Table()

    def table(self) -> _Table:
        """What is known so far; a new one if that has become too much."""
        if self._table.moves > _KEPT:
            self._table = _Table()
        return self._table

    def found_in(self, text: str, table: _Table, seen: set[_Move], frame: Frame) -> bool:
        """Whether any part of the text matches. ``seen`` are the moves that this evaluation has counted."""
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
        """All steps that are reached without a character; ``before`` is "" at the start, ``after`` at the end."""
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
    """Whether all of a short text matches: its time is in proportion to its length. Raise ValueError for no pattern."""
    known = compiled(f"^(?:{pattern})$")
    return known.found_in(text, known.table(), set(), [None, sys.maxsize])


@lru_cache(maxsize=128)
def compiled(text: str) -> Pattern:
    """Raise ValueError with the reason for what is no pattern."""
    return Pattern(text)


def matches(frame: Frame, text: str, pattern: str) -> bool:
    """Whether a part of the text matches; raise ExpressionError for what is no pattern."""
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
