"""The options of a list for its period."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from collections.abc import Callable

C = TypeVar("C", bound="Callable[..., Any]")


def period(what: str) -> Callable[[C], C]:
    """Add `--since` and `--until`. ``what`` says what happened then, as `received` of events."""

    def add(command: C) -> C:
        until = click.option("--until", metavar="TIME", help=f"{what} before this time.")
        since = click.option("--since", metavar="TIME", help=f"{what} at this time (RFC 3339) or later.")
        return since(until(command))

    return add
