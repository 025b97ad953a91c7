"""Why the daemon is not ready: named checks that any part may add, asked for each answer of /readyz."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Readiness:
    """The named checks. A check returns what is wrong in words, or an empty string; it must not block.

    What a check raises counts as its reason: a broken check never makes the daemon look ready.
    """

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], str]] = {}

    def add(self, name: str, check: Callable[[], str]) -> None:
        """Ask `check` from now on. Another check of that name is replaced."""
        self._checks[name] = check

    def remove(self, name: str) -> None:
        """Ask the check of that name no more; no error if there is none."""
        self._checks.pop(name, None)

    def reasons(self) -> list[str]:
        """Return `name: reason` for each check that fails, in the order in which they were added."""
        found = [(name, _ask(check)) for name, check in list(self._checks.items())]
        return [f"{name}: {reason}" for name, reason in found if reason]


def _ask(check: Callable[[], str]) -> str:
    try:
        return check()
    except Exception as error:  # noqa: BLE001 - whatever it is, the part cannot be called ready
        return f"{type(error).__name__}: {error}"
