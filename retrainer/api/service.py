"""What the web API asks of the daemon."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from sqlalchemy import Connection
    from starlette.types import ASGIApp

    from retrainer.config.load import Configuration
    from retrainer.config.settings import Settings
    from retrainer.engine.schedules.backfills import Order
    from retrainer.store.queries import Page
    from retrainer.store.search import Wanted

T = TypeVar("T")


class Busy(ValueError):
    """The same is under way already."""


@dataclass(frozen=True, slots=True)
class RuleQuery:
    """Which rules somebody asks for: a page of those after ``after`` by name that meet all that is given.

    ``name`` is a part of the name; ``state`` a mode, a decision or its reason; ``labels`` are `name` or `name=value`.
    """

    limit: int
    after: str = ""
    name: str = ""
    state: str = ""
    source: str = ""
    labels: tuple[str, ...] = ()


class Waiting(Protocol):
    """A component that cannot do its work, ``since`` then in seconds since the epoch."""

    @property
    def component(self) -> str: ...
    @property
    def dependency(self) -> str:
        """What it waits for, as the metric names it."""

    @property
    def error(self) -> str: ...
    @property
    def since(self) -> float: ...
    @property
    def in_words(self) -> str:
        """One clause without ``error``, for everybody to read."""


class Service(Protocol):
    """Each call may block; all are safe from several threads. Times are seconds since the epoch (UTC).

    An unknown rule, run, source or key raises LookupError; what cannot be done now or with these values raises
    ValueError, Busy if that is because the same is under way. All say so in words meant for the person who asked.
    """

    settings: Settings

    def read(self, fn: Callable[[Connection], T]) -> T:
        """Run a short, paged read on the store."""

    def leader(self) -> str:
        """The URL of the replica that alone may change anything; empty if that is this one, or nobody."""

    def configuration(self) -> Configuration:
        """What is in force."""

    def rules(self, query: RuleQuery) -> Page:
        """Give a line per rule, by name: mode, paused, keys, verdict, decision, reason, until, next_fire, last_run."""

    def rule(self, name: str) -> dict[str, Any]:
        """Give the line of one rule, and how it is configured. Costs the same however many rules there are."""

    def explain(self, rule: str, key: str, event: dict[str, Any] | None, at: float | None = None) -> dict[str, Any]:
        """Say why it fires or not: rule, key, verdict, decision, reason, until, earliest, and a tree of live values."""

    def waits_for(self, run_id: str) -> dict[str, Any] | None:
        """Say what a run that has not started waits for: reason, detail, until, held_by; None if it does not wait."""

    def trigger(
        self, rule: str, key: str, parameters: dict[str, str], *, by: str, dry_run: bool, idempotency_key: str | None
    ) -> dict[str, Any]:
        """Ask for a run by hand: decision, reason, run (None if none was born), and manifest with `dry_run`."""

    def withdraw_triggers(self, rule: str, key: str) -> dict[str, Any]:
        """Drop runs by hand that have not started; how many that waited were `dropped`, and runs `cancelled`."""

    def backfill(self, order: Order, *, dry_run: bool, idempotency_key: str | None) -> dict[str, Any]:
        """Ask for slots: which run and why, the request's name, what they cost, and when the last may start."""

    def backfill_progress(self, rule: str, key: str, request: str | None) -> dict[str, Any]:
        """How far a backfill is, the last one if none is named."""

    def withdraw_backfills(self, rule: str, key: str) -> dict[str, Any]:
        """Drop what has not started; how many slots were `dropped`, and runs `cancelled`."""

    def pause(self, rule: str, note: str) -> None:
        """Hold a rule until it is resumed."""

    def resume(self, rule: str) -> None:
        """End a pause by hand, and close the rule's circuit breakers."""

    def cancel(self, run: str, strategy: Literal["Stop", "Terminate"]) -> dict[str, Any]:
        """Request durably that a run ends. Raise ValueError if it has."""

    def retry(self, run: str) -> dict[str, Any]:
        """Bear another attempt of an ended run. Raise ValueError if it has not ended, or succeeded."""

    def find_events(self, wanted: Wanted) -> Page:
        """Give events of that name, each with its effects in each rule, near misses included, and where to go on."""

    def judge(self, run: str, *, promoted: bool) -> None:
        """Take in what became of a succeeded run's model."""

    def import_ages(self, ages: list[dict[str, Any]]) -> dict[str, Any]:
        """Take in when models were last trained: `rule`, `key`, `succeeded_at`, `promoted_at` (None if not known)."""

    def replay_dead_letters(self, ids: list[int]) -> dict[str, Any]:
        """Take dead letters in anew: how many were `replayed`, and which `failed`."""

    def discard_dead_letters(self, ids: list[int]) -> int:
        """Remove dead letters; return how many there were."""

    def sources(self) -> list[dict[str, Any]]:
        """Give a line per source: name, type, up, last_error, lag, halted, silent, last_event_at and more."""

    def source(self, name: str) -> dict[str, Any]:
        """Give one source's line, its positions and its configuration."""

    def reset_source(self, name: str, part: str, to: str | int) -> dict[str, Any]:
        """Have a part read on from `earliest`, `latest` or an offset."""

    def replay(self, name: str, since: str, until: str | None, rules: list[str], *, dry_run: bool) -> dict[str, Any]:
        """Begin to read a source again for rules (all of it, if none is named); return the progress so far.

        Moments are RFC 3339 or durations back from now; without `until` it is now.
        """

    def replay_progress(self, name: str) -> dict[str, Any]:
        """How far the last replay of a source is."""

    def cancel_replay(self, name: str) -> dict[str, Any]:
        """Ask the replay of a source to end; what was taken in stays."""

    def reload(self) -> dict[str, Any]:
        """Look at the rule files now: revision, changed, problems."""

    def ready(self) -> list[str]:
        """Why it is not ready, in words; empty if it is."""

    def waiting(self) -> Sequence[Waiting]:
        """Return what waits for a server or a person; of these only the store makes the daemon unready."""

    def health(self) -> list[str]:
        """Why a restart would help, in words; empty if nothing hangs. Asks nobody, and never blocks."""

    def metrics(self) -> bytes:
        """Everything for Prometheus, in its text exposition."""

    def refused(self, door: str, status: int) -> None:
        """Count a request that was turned away."""

    def webhooks(self) -> ASGIApp | None:
        """What takes requests under `/hooks/` in, on the web server's own loop; None if nothing listens there."""
