"""The interface between the web API and the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection
    from starlette.types import ASGIApp

    from retrainer.config.load import Configuration
    from retrainer.config.settings import Settings
    from retrainer.engine.schedules.backfills import BackfillOrder
    from retrainer.store.queries import Page
    from retrainer.store.search import EventQuery

T = TypeVar("T")


class Busy(ValueError):
    """The same operation is in progress already."""


@dataclass(frozen=True, slots=True)
class RuleQuery:
    """A filter for rules: those after ``after`` by name that meet all conditions.

    ``name``: a part of the name. ``state``: a mode, a decision or its reason. ``labels``: `name` or `name=value`.
    """

    limit: int
    after: str = ""
    name: str = ""
    state: str = ""
    source: str = ""
    labels: tuple[str, ...] = ()


class Waiting(Protocol):
    """A component that cannot work, ``since`` when in seconds since the epoch."""

    @property
    def component(self) -> str: ...
    @property
    def dependency(self) -> str:
        """What it waits for, as named in the metric."""

    @property
    def error(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def in_words(self) -> str:
        """One clause without ``error``, which is public."""


class Service(Protocol):
    """All calls may block, and are thread-safe. Times are seconds since the epoch (UTC).

    An unknown rule, run, source or key raises LookupError. What cannot be done now or with these values raises
    ValueError; Busy if the same operation is in progress. All messages are meant for the user.
    """

    settings: Settings

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a short, paged read on the store."""

    def leader(self) -> str:
        """Return the URL of the leader; empty if this replica is the leader, or there is none."""

    def configuration(self) -> Configuration:
        """Return the configuration in force."""

    def rules(self, query: RuleQuery) -> Page:
        """Return a line per rule: name, mode, paused, keys, verdict, decision, reason, until, next_fire, last_run."""

    def rule(self, name: str) -> dict[str, Any]:
        """Return the line of one rule, and its configuration. The cost does not depend on the number of rules."""

    def explain(self, rule: str, key: str, event: dict[str, Any] | None, at: float | None = None) -> dict[str, Any]:
        """Return why it fires or not: rule, key, verdict, decision, reason, until, earliest, and a tree of values."""

    def waits_for(self, run_id: str) -> dict[str, Any] | None:
        """Return what an unstarted run waits for: reason, detail, until, held_by; None if it does not wait."""

    def trigger(
        self, rule: str, key: str, parameters: dict[str, str], *, by: str, dry_run: bool, idempotency_key: str | None
    ) -> dict[str, Any]:
        """Request a manual run. Return decision, reason, run (None if none was created); manifest with `dry_run`."""

    def withdraw_triggers(self, rule: str, key: str) -> dict[str, Any]:
        """Withdraw manual runs that have not started. Return how many were `dropped`, and runs `cancelled`."""

    def backfill(self, order: BackfillOrder, *, dry_run: bool, idempotency_key: str | None) -> dict[str, Any]:
        """Request runs for slots. Return which run and why, the request's id, their cost, and the latest start."""

    def backfill_progress(self, rule: str, key: str, request: str | None) -> dict[str, Any]:
        """Return the progress of a backfill; of the last one if none is named."""

    def withdraw_backfills(self, rule: str, key: str) -> dict[str, Any]:
        """Withdraw what has not started. Return how many slots were `dropped`, and runs `cancelled`."""

    def pause(self, rule: str, note: str) -> None:
        """Pause a rule until it is resumed."""

    def resume(self, rule: str) -> None:
        """End a manual pause, and close the rule's circuit breakers."""

    def cancel(self, run: str, strategy: Literal["Stop", "Terminate"]) -> dict[str, Any]:
        """Store a request to end a run. Raise ValueError if it has ended."""

    def retry(self, run: str) -> dict[str, Any]:
        """Create another attempt of an ended run. Raise ValueError if it has not ended, or succeeded."""

    def find_events(self, wanted: EventQuery) -> Page:
        """Return matching events with their effects in each rule, near misses included, and where to continue."""

    def judge(self, run: str, *, promoted: bool) -> None:
        """Record whether the model of a succeeded run was promoted."""

    def import_ages(self, ages: list[dict[str, Any]]) -> dict[str, Any]:
        """Import when models were last trained: `rule`, `key`, `succeeded_at`, `promoted_at` (None if not known)."""

    def replay_dead_letters(self, ids: list[int]) -> dict[str, Any]:
        """Process dead letters again. Return how many were `replayed`, and which `failed`."""

    def discard_dead_letters(self, ids: list[int]) -> int:
        """Delete dead letters. Return their number."""

    def sources(self) -> list[dict[str, Any]]:
        """Return a line per source: name, type, up, last_error, lag, halted, silent, last_event_at and more."""

    def source(self, name: str) -> dict[str, Any]:
        """Return one source's line, its positions and its configuration."""

    def reset_source(self, name: str, part: str, to: str | int) -> dict[str, Any]:
        """Continue a partition from `earliest`, `latest` or an offset."""

    def replay(self, name: str, since: str, until: str | None, rules: list[str], *, dry_run: bool) -> dict[str, Any]:
        """Start to read a source again for rules (all of its rules if none is named). Return the progress.

        Times are RFC 3339 or durations before now; ``until`` defaults to now.
        """

    def replay_progress(self, name: str) -> dict[str, Any]:
        """Return the progress of the last replay of a source."""

    def cancel_replay(self, name: str) -> dict[str, Any]:
        """Request the end of a source's replay. What was stored stays."""

    def reload(self) -> dict[str, Any]:
        """Read the rule files now. Return revision, changed, problems."""

    def ready(self) -> list[str]:
        """Return why it is not ready, as text; empty if it is."""

    def waiting(self) -> Sequence[Waiting]:
        """Return components that wait for a server or an operator; of these only the store makes the daemon unready."""

    def health(self) -> list[str]:
        """Return why a restart would help, as text; empty if nothing hangs. Depends on no server, and never blocks."""

    def metrics(self) -> bytes:
        """Return all metrics in Prometheus' text exposition format."""

    def refused(self, door: str, status: int) -> None:
        """Count a rejected request."""

    def webhooks(self) -> ASGIApp | None:
        """Return the application for `/hooks/`, run in the web server's loop; None if there are no webhooks."""
