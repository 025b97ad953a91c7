"""Completion of names that the daemon knows: rules, sources and runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.cli.connection import CommandError
from retrainer.cli.session import Session

if TYPE_CHECKING:
    from collections.abc import Callable

    import click

_MOST = 200


def _names(path: str, field: str) -> Callable[[click.Context, click.Parameter, str], list[str]]:
    """Return a completion with a field of the items of a list. It offers nothing if the daemon does not answer."""

    def complete(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[str]:
        try:
            with ctx:
                items: list[dict[str, Any]] = ctx.ensure_object(Session).client.get(path, limit=_MOST)["items"]
        except CommandError:
            return []
        return [item[field] for item in items if item[field].startswith(incomplete)]

    return complete


rule_names = _names("rules", "name")
run_ids = _names("runs", "id")
source_names = _names("sources", "name")
