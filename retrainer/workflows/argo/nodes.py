"""PURE: the nodes of a Workflow, from its status."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from retrainer.workflows.argo.objects import MAX_NODES, as_map, as_text, from_workflow, node_statuses, seconds
from retrainer.workflows.base import NodeStatus, WorkflowNodes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_GROUP = re.compile(r"\[\d+\](?=\.)")
_HOLDERS = frozenset({"Retry", "StepGroup", "TaskGroup"})
"""Types of nodes that contain others although `boundaryID` of these does not name them."""
_OFFLOADED = (
    "Argo keeps the nodes of this Workflow in its database, because there are too many for the object. Argo's own page "
    "and `argo get` show them"
)
_UNREADABLE = f"the nodes cannot be unpacked: they are damaged, or larger than {MAX_NODES // 1024**2} MiB"


def nodes_of(item: Mapping[str, Any]) -> WorkflowNodes:
    """Parse a whole Workflow. Its status may have been edited: values of unexpected types are ignored."""
    status, workflow = as_map(item.get("status")), item["metadata"]["name"]
    nodes = {name: node for name, node in node_statuses(status).items() if isinstance(node, dict)}
    parents = dict(_parents(nodes))
    found = tuple(_node(workflow, name, node, parents.get(name, "")) for name, node in nodes.items())
    return WorkflowNodes(from_workflow(item), found, "" if found else _why_none(status))


def step_name(workflow: str, node: str) -> str:
    """Return the name of a node without those of the Workflow and of groups of steps.

    The node that is the whole Workflow has the Workflow's name.
    """
    below = _GROUP.sub("", node.removeprefix(workflow)).lstrip(".")
    return below if below and not below.startswith("(") else node


def _why_none(status: Mapping[str, Any]) -> str:
    if status.get("compressedNodes"):
        return _UNREADABLE
    return _OFFLOADED if status.get("offloadNodeStatusVersion") else ""


def _parents(nodes: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield nodes with the node that contains each: the boundary, or a group within it, whose name theirs begin with.

    The children of a group are also what follows after it.
    """
    for name, node in nodes.items():
        if as_text(node.get("boundaryID")) in nodes:
            yield name, as_text(node.get("boundaryID"))
    for name, node in nodes.items():
        if node.get("type") in _HOLDERS:
            within = tuple(as_text(node.get("name")) + sign for sign in "(.")
            for child in _children(node):
                if child in nodes and as_text(nodes[child].get("name")).startswith(within):
                    yield child, name


def _node(workflow: str, name: str, node: Mapping[str, Any], parent: str) -> NodeStatus:
    reference, code = as_map(node.get("templateRef")), as_map(node.get("outputs")).get("exitCode")
    template = as_text(node.get("templateName")) or "/".join(filter(None, map(as_text, reference.values())))
    return NodeStatus(
        id=name,
        name=step_name(workflow, as_text(node.get("name")) or as_text(node.get("displayName")) or name),
        kind=as_text(node.get("type")),
        phase=as_text(node.get("phase")),
        template=template,
        message=as_text(node.get("message")),
        started_at=seconds(node.get("startedAt")),
        finished_at=seconds(node.get("finishedAt")),
        exit_code=None if code is None else str(code),
        parent=parent,
        children=tuple(_children(node)),
    )


def _children(node: Mapping[str, Any]) -> list[str]:
    children = node.get("children")
    return [child for child in children if isinstance(child, str)] if isinstance(children, list) else []
