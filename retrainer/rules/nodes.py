"""Nodes of an explanation."""

from __future__ import annotations

from typing import Any

Node = dict[str, Any]


def node(name: str, state: str, detail: str, children: list[Node] | None = None) -> Node:
    return {"name": name, "state": state, "detail": detail, "children": children or []}
