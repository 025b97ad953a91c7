"""What the web API asks of the daemon."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import Connection
    from starlette.types import ASGIApp

    from retrainer.config.load import Configuration
    from retrainer.config.settings import Settings

T = TypeVar("T")


class Service(Protocol):
    """Each call may block; all are safe from several threads. Times are seconds since the epoch (UTC).

    An unknown rule, run or key raises LookupError; what cannot be done now or with these values raises ValueError.
    Both say so in words meant for the person who asked.
    """

    settings: Settings

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a short, paged read on the store."""

    def configuration(self) -> Configuration:
        """What is in force."""

    def rules(self) -> list[dict[str, Any]]:
        """Give a line per rule: name, mode, paused, keys, verdict, decision, reason, until, next_fire, last_run."""

    def explain(self, rule: str, key: str, event: dict[str, Any] | None, at: float | None = None) -> dict[str, Any]:
        """Say why it fires or not: rule, key, verdict, decision, reason, until, earliest, and a tree of live values."""

    def trigger(
        self, rule: str, key: str, parameters: dict[str, str], *, dry_run: bool, idempotency_key: str | None
    ) -> dict[str, Any]:
        """Ask for a run by hand: decision, reason, run (None if none was born), and manifest with `dry_run`."""

    def pause(self, rule: str, note: str) -> None:
        """Hold a rule until it is resumed."""

    def resume(self, rule: str) -> None:
        """End a pause by hand, and close the rule's circuit breakers."""

    def cancel(self, run: str, strategy: Literal["Stop", "Terminate"]) -> dict[str, Any]:
        """Request durably that a run ends. Raise ValueError if it has."""

    def retry(self, run: str) -> dict[str, Any]:
        """Bear another attempt of an ended run. Raise ValueError if it has not ended, or succeeded."""

    def replay_dead_letters(self, ids: list[int]) -> dict[str, Any]:
        """Take dead letters in anew: how many were `replayed`, and which `failed`."""

    def discard_dead_letters(self, ids: list[int]) -> int:
        """Remove dead letters; return how many there were."""

    def reload(self) -> dict[str, Any]:
        """Look at the rule files now: revision, changed, problems."""

    def ready(self) -> list[str]:
        """Why it is not ready, in words; empty if it is."""

    def metrics(self) -> bytes:
        """Everything for Prometheus, in its text exposition."""

    def webhooks(self) -> ASGIApp | None:
        """What takes requests under `/hooks/` in, on the web server's own loop; None if nothing listens there."""
