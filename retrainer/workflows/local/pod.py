"""PURE: one container or script of a template with its values, as it is to be started."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pod:
    """``values``: what the tags of the template stand for. ``artifacts``: the input artifacts by their names.

    ``folder`` is its own: `log`, and its files.
    """

    name: str
    template: Mapping[str, Any]
    values: Mapping[str, str]
    folder: Path
    artifacts: Mapping[str, Any] = field(default_factory=dict)
