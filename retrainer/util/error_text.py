"""The text of an error in one line that every log and store accepts."""

from __future__ import annotations

LONGEST_ERROR = 300
"""Maximum characters of an error."""


def words(error: BaseException) -> str:
    """Type and message of an error."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).encode(errors="replace").decode()
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST_ERROR]
