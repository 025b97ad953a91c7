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


class CommitUnknownError(StoreBusyError):
    """The connection was lost while a transaction was committed: `Store.settle` finds out whether it was."""


class StoreBrokenError(StoreError):
    """The store went away or is damaged: nothing is acknowledged, and trying again does not help by itself."""


class GarbledError(StoreError):
    """A row holds what this daemon cannot have written."""


class StoreLostError(StoreError):
    """Another daemon has taken over the store: nothing was written, and this one must not go on."""


class Store(Protocol):
    """One writer, one transaction at a time. Many daemons may share a store; one of them has the lead and writes."""

    shared: bool
    """Whether several daemons may have it open."""
    undisputed: bool
    """Whether whoever had the lead before has ended for certain."""

    def write(self, just_before: Callable[[], None] = lambda: None) -> AbstractContextManager[Connection]:
        """A transaction, committed at the end of the block, rolled back if it raises; ``just_before`` it commits.

        Raise StoreBusyError, CommitUnknownError, StoreBrokenError or StoreLostError.
        """

    def share(self) -> AbstractContextManager[Connection]:
        """A transaction beside that of whoever has the lead, for what needs none: positions and the inbox.

        Raise StoreBusyError; StoreError if a newer release has changed the store so that this one must not go on.
        Where its answer was lost nobody looks it up: who offered something offers it again.
        """

    def settle(self) -> bool:
        """After a CommitUnknownError: whether the transaction was committed. Raise StoreBusyError, StoreLostError."""

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a short, paged read. Raise StoreBusyError or StoreBrokenError."""

    def trouble(self) -> str:
        """Why it cannot be trusted any more: it went away, or is damaged; empty if it can. Does not block."""

    def rescue(self) -> str:
        """After it went away: save what was accepted, if it is lost otherwise; return what was done, in words.

        Raise StoreError if it could not be saved: another try may do better.
        """

    @property
    def losing(self) -> bool:
        """Whether what was accepted is lost once this process ends, unless `rescue` saves it."""

    def checkpoint(self) -> None:
        """Do now, beside transactions, what would otherwise hold up one of them. To be called every few seconds."""

    def size(self) -> int:
        """Bytes it takes up."""

    def used(self) -> int:
        """Bytes that rows take up: room within its file that is free again does not count, where that is known."""

    def clock(self) -> float | None:
        """Seconds since the epoch by the database's clock; None if that is this machine's."""

    def claim(self) -> bool:
        """Take the lead, if nobody has it. Raise StoreBusyError; StoreError if it must not go on, as in `share`."""

    def renew(self, url: str) -> None:
        """Keep the lead, and say where we are asked. Raise StoreBusyError, StoreLostError."""

    def release(self) -> None:
        """Give the lead away."""

    def holder(self) -> str:
        """Who has the lead, in words; empty if nobody. Raise StoreBusyError."""

    def leader(self) -> str:
        """The URL where whoever has the lead is asked; empty if nobody has. Raise StoreBusyError."""

    def hurry(self) -> None:
        """This daemon is about to end: do not wait for a server that does not answer as long as otherwise."""

    def close(self) -> None:
        """Release it."""
