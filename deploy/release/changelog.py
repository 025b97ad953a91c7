"""CHANGELOG.md, in the form of Keep a Changelog: its sections, and cutting one off for a version."""

from __future__ import annotations

import re

UNRELEASED = "Unreleased"
_HEADING = re.compile(r"^## \[([^\]]+)\].*\n", re.MULTILINE)


def sections(text: str) -> dict[str, str]:
    """Return the text of each section by its name: a version, or `Unreleased`."""
    parts = _HEADING.split(text)[1:]
    return {name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)}


def cut(text: str, version: str, day: str) -> str:
    """Return the changelog with all that is unreleased under ``version``. Raise ValueError if there is nothing."""
    if not sections(text).get(UNRELEASED):
        raise ValueError(f"CHANGELOG.md has nothing under [{UNRELEASED}] that version {version} could be about")
    heading = f"## [{UNRELEASED}]\n"
    return text.replace(heading, f"{heading}\n## [{version}] - {day}\n", 1)
