"""The nodes of a local run, as its runner has written them down."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from retrainer.workflows.base import NodeStatus
from retrainer.workflows.local.run_folder import read

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


def recorded(folder: Path) -> tuple[tuple[NodeStatus, ...], str]:
    """Return the nodes of a run, and why they cannot be read, if they cannot. A step can write anything there."""
    try:
        nodes = (read(folder / "nodes.json") or {}).get("nodes", [])
    except (OSError, ValueError) as error:
        return (), f"its nodes cannot be read: {error}"
    known = [node for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    parents, children = _parents([str(node.get("name")) for node in known]), defaultdict[int, list[str]](list)
    for at, parent in enumerate(parents):
        if parent is not None:
            children[parent].append(str(at))
    return tuple(_node(at, node, parents[at], children[at]) for at, node in enumerate(known)), ""


def _parents(names: Sequence[str]) -> list[int | None]:
    """Return which node contains each: the one whose name, before a `.` or `(`, is the longest; else the first one."""
    known = {name: at for at, name in reversed(list(enumerate(names))) if at > 0}
    found: list[int | None] = []
    for at, name in enumerate(names):
        ends = (end for end in range(len(name) - 1, 0, -1) if name[end] in ".(")
        holder = next((known[name[:end]] for end in ends if name[:end] in known), 0)
        found.append(holder if holder != at else None)
    return found


def _node(at: int, node: dict[str, Any], parent: int | None, children: Sequence[str]) -> NodeStatus:
    text = {name: node[name] for name in ("name", "kind", "phase", "template", "message") if _is_text(node.get(name))}
    code = node.get("exit_code")
    return NodeStatus(
        id=str(at),
        **{"name": "", "kind": "", "phase": "", **text},
        started_at=_time(node.get("started")),
        finished_at=_time(node.get("finished")),
        exit_code=str(code) if isinstance(code, int) else None,
        parent="" if parent is None else str(parent),
        children=tuple(children),
    )


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _time(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
