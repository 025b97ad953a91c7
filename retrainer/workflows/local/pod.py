"""PURE: one container or script of a template with its values, as it is to be started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.tags import private, scalar, substitute

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pod:
    """``values``: what the tags of the template stand for. ``artifacts``: the input artifacts by their names.

    ``folder`` is its own: `log`, and `tmp` for files that the template puts under `/tmp`.
    """

    name: str
    template: Mapping[str, Any]
    values: Mapping[str, str]
    folder: Path
    artifacts: Mapping[str, object] = field(default_factory=dict)

    @property
    def tmp(self) -> Path:
        return self.folder / "tmp"

    def text(self, text: object) -> str:
        """Return a text of the template with its values. Its paths under `/tmp` lead to the own `tmp`."""
        # Replace the template's own `/tmp` first: a path in an input value refers to this machine.
        return substitute(private(scalar(text), str(self.tmp)), self.values)
