"""PURE but for waiting: the groups of `steps`, one after the other; the steps of a group run at once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.depends import continues_on
from retrainer.workflows.local.node import Ended

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from retrainer.workflows.local.scope import Scope

    Use = Callable[[Mapping[str, Any], Scope], Awaitable[Ended]]


async def run_groups(groups: Sequence[Sequence[Mapping[str, Any]]], scope: Scope, use: Use) -> tuple[Ended, Scope]:
    """Execute the groups until one fails. Return how they ended, and the scope with the outputs of the steps."""
    for group in groups:
        ended = await asyncio.gather(*(use(step, scope) for step in group))
        scope = scope.with_nodes((f"steps.{step['name']}", one) for step, one in zip(group, ended, strict=True))
        for step, one in zip(group, ended, strict=True):
            if one.failed and not continues_on(step, one):
                return Ended(one.phase, one.message), scope
    return Ended("Succeeded"), scope
