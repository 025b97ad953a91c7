"""What the engine needs of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used; the message names the file or server and the way out."""


class StoreBusyError(StoreError):
    """The store cannot take writes for the moment (locked, disk full): nothing was written, try again."""


class Store(Protocol):
    """One writer, one transaction at a time."""

    def write(self) -> AbstractContextManager[Connection]:
        """A transaction, committed at the end of the block, rolled back if it raises. Raise StoreBusyError."""

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a short, paged read."""

    def size(self) -> int:
        """Bytes it takes up."""

    def close(self) -> None:
        """Release it."""
