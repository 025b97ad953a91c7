"""Named readiness checks, which any part may add. They run for each request to /readyz."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """The named checks. A check returns what is wrong as text, or an empty string; it must not block.

    An exception in a check counts as its reason, so a broken check never makes the daemon look ready.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str]] = {}

    def add(self, name: str, check: Callable[[], str]) -> None:
        """Add a check. It replaces another one of that name."""
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Remove the check of that name; no error if there is none."""
        self._checks.pop(name, None)

    def reasons(self) -> list[str]:
        """Return `name: reason` for each check that fails, in the order in which they were added."""
        found = [(name, _ask(check)) for name, check in list(self._checks.items())]
        return [f"{name}: {reason}" for name, reason in found if reason]


def _ask(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part does not count as ready
        return f"{type(error).__name__}: {error}"
