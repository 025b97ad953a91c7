"""Nodes of an explanation."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

Node = dict[str, Any]


class Measure(NamedTuple):
    """A live value beside the limit that it is compared with.

    ``side``: what satisfies the trigger or reaches the limit: a value of at least ``limit``, above it or below it.
    ``clear``: at or beyond which a crossed series comes back. ``unit``: events, bytes, rows, runs, failures, seconds or
    empty for a value without one.
    """

    value: float
    limit: float
    side: Literal["at_least", "above", "below"] = "at_least"
    unit: str = ""
    clear: float | None = None


def node(
    name: str, state: str, detail: str, children: list[Node] | None = None, measure: Measure | None = None
) -> Node:
    """Return a node; `measure` is left out where nothing is measured."""
    measured = {} if measure is None else {"measure": measure._asdict()}
    return {"name": name, "state": state, "detail": detail, "children": children or [], **measured}
