"""One mistake in a configuration file."""

from __future__ import annotations

from typing import NamedTuple


class Mistake(NamedTuple):
    """``old`` occurs once in the valid file and is replaced by ``new``. Without ``old``, ``new`` is the whole file."""

    name: str
    old: str
    new: str
    shown: str = ""
    """The text that the page shows as written, if it is not ``new``."""
    file: str = "rules.yaml"
