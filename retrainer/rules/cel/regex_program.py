"""Compile a pattern to a program: the steps of a nondeterministic automaton."""

from __future__ import annotations

from retrainer.rules.cel.regex_syntax import END, MAX_LENGTH, Assertion, Fork, One, Ranges, Reader, Step, Tree


def program(pattern: str) -> tuple[list[Step], int]:
    """Return the steps and the index of the first one. Raise ValueError with the reason if the pattern is invalid."""
    if len(pattern) > MAX_LENGTH:
        raise ValueError(f"a pattern of {len(pattern)} characters, at most {MAX_LENGTH} are allowed")
    tree = Reader(pattern).whole()
    steps: list[Step] = []
    return steps, _emit(tree, END, steps)


def _emit(tree: Tree, then: int, steps: list[Step]) -> int:
    """Append the steps of a node that continues at step ``then``. Return the first. Steps are created from the end."""
    if tree.step is not None:
        one = tree.step
        steps.append(Assertion(one.kind, then) if isinstance(one, Assertion) else One(*_of(one), then))
        return len(steps) - 1
    if tree.kind == "any":
        fork = Fork([_emit(part, then, steps) for part in tree.parts])
        steps.append(fork)
        return len(steps) - 1
    if tree.kind == "repeat":
        return _repeat(tree, then, steps)
    for part in reversed(tree.parts):
        then = _emit(part, then, steps)
    return then


def _of(one: One) -> tuple[Ranges, bool, bool]:
    return one.ranges, one.negated, one.fold


def _repeat(tree: Tree, then: int, steps: list[Step]) -> int:
    (part,), (least, most) = tree.parts, tree.bounds
    if most is None:
        loop = Fork([then])
        steps.append(loop)
        at = len(steps) - 1
        loop.ways.append(_emit(part, at, steps))
        then = at
    else:
        after = then
        for _ in range(most - least):
            begin = _emit(part, then, steps)
            steps.append(Fork([begin, after]))
            then = len(steps) - 1
    for _ in range(least):
        then = _emit(part, then, steps)
    return then
