"""The store protocol, and its errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from sqlalchemy import Connection

T = TypeVar("T")


class StoreError(Exception):
    """The store cannot be used. The message names the file or server, and how to fix it."""


class StoreBusyError(StoreError):
    """The store temporarily rejects writes (locked, disk full). Nothing was written; retry."""


class CommitUnknownError(StoreBusyError):
    """The connection was lost during a commit. `Store.settle` returns whether it was committed."""


class StoreBrokenError(StoreError):
    """The store is gone or damaged. Nothing is acknowledged, and a retry alone does not help."""


class GarbledError(StoreError):
    """A row holds a value that retrainer cannot have written."""


class StoreLostError(StoreError):
    """Another replica has taken over the store. Nothing was written, and this replica must not continue."""


class Store(Protocol):
    """One writer, one transaction at a time. Several replicas may share a store; only the leader writes."""

    shared: bool
    """Whether several replicas may have it open."""
    undisputed: bool
    """Whether the previous leader has certainly ended."""

    def write(self, just_before: Callable[[], None] = lambda: None) -> AbstractContextManager[Connection]:
        """Return a transaction. It is committed at the end of the block, and rolled back if the block raises.

        ``just_before`` is called before the commit. Raise StoreBusyError, CommitUnknownError, StoreBrokenError or
        StoreLostError.
        """

    def share(self) -> AbstractContextManager[Connection]:
        """Return a transaction beside that of the leader, for data that standbys write: positions and the inbox.

        Raise StoreBusyError; StoreError if a newer release has changed the store so that this one must not continue.
        A commit whose answer was lost is not looked up: the source offers its batch again.
        """

    def settle(self) -> bool:
        """After a CommitUnknownError, return whether it was committed. Raise StoreBusyError or StoreLostError."""

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a short, paged read. Raise StoreBusyError or StoreBrokenError."""

    def trouble(self) -> str:
        """Return why the store is unusable (gone or damaged), or an empty string. Does not block."""

    def rescue(self) -> str:
        """If the store's file was removed, write the accepted data to a file again. Return a message of what was done.

        Raise StoreError if that failed; a later call may succeed.
        """

    @property
    def losing(self) -> bool:
        """Whether accepted data is lost when this process ends, unless `rescue` saves it."""

    def checkpoint(self) -> None:
        """Do maintenance that would otherwise delay a transaction. To be called every few seconds."""

    def size(self) -> int:
        """Return the size of the store in bytes."""

    def used(self) -> int:
        """Return the bytes in use: `size` without free space in the file, where that is known."""

    def clock(self) -> float | None:
        """Return the database's clock in epoch seconds, or None if it is the clock of this machine."""

    def claim(self) -> bool:
        """Take the leadership if it is free; return whether it was. Raise StoreBusyError, or StoreError as `share`."""

    def renew(self, url: str) -> None:
        """Renew the leader lease, and publish the URL of this replica. Raise StoreBusyError or StoreLostError."""

    def release(self) -> None:
        """Release the leadership."""

    def holder(self) -> str:
        """Return a description of the leader, empty if there is none. Raise StoreBusyError."""

    def leader(self) -> str:
        """Return the URL of the leader, empty if there is none. Raise StoreBusyError."""

    def hurry(self) -> None:
        """Shorten the timeouts for a server that does not answer, because this daemon is about to end."""

    def close(self) -> None:
        """Close the store."""
