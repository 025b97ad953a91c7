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

    ``folder`` is its own: `log`, and its files. ``limit``: the seconds that it may take; None without a bound.
    ``on_exit``: it is started although the run is to end. ``keeps_output``: its standard output is wanted.
    """

    name: str
    template: Mapping[str, Any]
    values: Mapping[str, str]
    folder: Path
    artifacts: Mapping[str, Any] = field(default_factory=dict)
    limit: float | None = None
    on_exit: bool = False
    keeps_output: bool = False
