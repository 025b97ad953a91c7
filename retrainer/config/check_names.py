"""Check names that refer to something."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.errors import did_you_mean
from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from retrainer.config.tree import Path


def known(path: Path, kind: str, name: str, names: Collection[str]) -> Iterator[Violation]:
    """Check that `name` is one of `names`, which are defined in the section of that kind."""
    if name not in names:
        yield Violation(
            path,
            f"unknown {kind} `{name}`",
            did_you_mean(name, names, f"no {kind} is defined: add it under `{kind}s:`"),
            kind="reference",
        )
