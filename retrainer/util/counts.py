"""Counts in texts for people: singular for one, plural for any other number."""

from __future__ import annotations

_SAME = ("series",)
"""Words whose singular is also their plural."""


def many(count: int, what: str) -> str:
    """Return `1 run`, `2 runs`, `0 series`. ``what`` is the singular; its last word gets the plural."""
    return f"{count} {_form(count, what)}"


def part(count: int, whole: int, what: str) -> str:
    """Return `0 of 1 event`, `2 of 3 events`."""
    return f"{count} of {many(whole, what)}"


def _form(count: int, what: str) -> str:
    return what if count == 1 or what.endswith(_SAME) else f"{what}s"
