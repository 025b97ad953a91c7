"""The description of a function: its types and cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

TEXT = frozenset({"text"})
INT = frozenset({"int", "uint"})
NUMBER = INT | {"double"}
ANY = frozenset({"any"})
LIST = frozenset({"list"})
MOMENT = frozenset({"moment"})


@dataclass(frozen=True, slots=True)
class Function:
    """``takes`` has the types of each argument, in order; the last ``optional`` ones may be left out.

    A ``member`` function is written `first.name(rest)`; an ``also_free`` function may be written either way. ``work``
    gets the frame and the values. ``cost`` is in steps, without what ``work`` charges.
    """

    takes: tuple[frozenset[str], ...]
    gives: str
    work: Callable[..., Any]
    member: bool = True
    also_free: bool = False
    cost: int = 2
    optional: int = 0

    def accepts(self, count: int) -> bool:
        """Whether it may be called with so many values, the first included."""
        return len(self.takes) - self.optional <= count <= len(self.takes)
