"""What an error says, for people, in one line that any log and any store can keep."""

from __future__ import annotations

LONGEST_ERROR = 300
"""Characters of an error that are kept."""


def words(error: BaseException) -> str:
    """Name the kind of an error and what it says."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).encode(errors="replace").decode()
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST_ERROR]
