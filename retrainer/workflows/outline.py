"""PURE: the nodes of a Workflow as an outline: each below the node that contains it, bounded in number."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from retrainer.workflows.base import NodeStatus, WorkflowNodes

_FIRST = {"Failed": 0, "Error": 0, "Running": 1, "Pending": 2}
"""What is shown before others if there are too many."""
_LATEST = float("inf")


def outline(nodes: Sequence[NodeStatus], most: int) -> list[tuple[int, NodeStatus]]:
    """Return at most ``most`` nodes with their depth, in the order of their start, each after the one it is in.

    If there are more, those that failed or run come first, with all that contain them.
    """
    known = {node.id: node for node in nodes}
    chosen = _chosen(nodes, known, most)
    below: dict[str, list[NodeStatus]] = defaultdict(list)
    for node in sorted(chosen.values(), key=lambda one: _LATEST if one.started_at is None else one.started_at):
        below[node.parent if node.parent in chosen else ""].append(node)
    found: list[tuple[int, NodeStatus]] = []
    waiting = [(0, node) for node in reversed(below[""])]
    while waiting:
        depth, node = waiting.pop()
        found.append((depth, node))
        waiting += [(depth + 1, one) for one in reversed(below.pop(node.id, []))]
    return found


def stuck(seen: WorkflowNodes) -> str:
    """Return the innermost node that failed first, or, if the Workflow goes on, that waits for longest, in a sentence.

    Empty if no such node has a message.
    """
    wanted = ("Failed", "Error") if seen.workflow.phase in ("Failed", "Error") else ("Pending",)
    holders = {node.parent for node in seen.nodes}
    found = [node for node in seen.nodes if node.phase in wanted and node.message and node.id not in holders]
    if not found:
        return ""
    first = min(found, key=lambda one: one.finished_at or one.started_at or _LATEST)
    return f"{first.name} ({first.kind}) is {first.phase}: {first.message}"


def _chosen(nodes: Iterable[NodeStatus], known: Mapping[str, NodeStatus], most: int) -> dict[str, NodeStatus]:
    chosen: dict[str, NodeStatus] = {}
    for node in sorted(nodes, key=lambda one: _FIRST.get(one.phase, 3)):
        path = {node.id: node}
        while (above := known.get(node.parent)) is not None and above.id not in path and above.id not in chosen:
            node = path[above.id] = above  # noqa: PLW2901 - climbs
        if len(chosen) + len(path.keys() - chosen.keys()) <= most:
            chosen |= path
    return chosen
