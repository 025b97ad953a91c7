"""External dependencies that are unavailable: for which component, since when, and why.

An unavailable broker, queue, bucket, Prometheus or API server does not make the daemon unready: it still accepts other
input. `Dependencies` reports each of them in /readyz, `retrainer status` and the metrics.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal, Protocol, runtime_checkable

from retrainer.telemetry.secrets import SECRETS
from retrainer.util.timefmt import rfc3339

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from retrainer.config.models import Source as SourceConfig
    from retrainer.sources.base import Source

Dependency = Literal[
    "store", "kafka", "prometheus", "queue", "bucket", "folder", "api_server", "decision", "server", "thread"
]
IN_WORDS: Final[Mapping[Dependency, str]] = {
    "store": "the store",
    "kafka": "a Kafka broker",
    "prometheus": "its Prometheus server",
    "queue": "its SQS queue",
    "bucket": "a bucket",
    "folder": "its folder",
    "api_server": "the Kubernetes API server",
    "decision": "an operator to reset its halted partitions",
    "server": "a server",
    "thread": "another thread",
}
OF_SOURCE: Final[Mapping[str, Dependency]] = {"kafka": "kafka", "prometheus": "prometheus", "directory": "folder"}
"""The dependency of a source type. Sources of type `s3` report theirs by `errors`."""
OF_PARTY: Final[Mapping[str, Dependency]] = {
    "the store": "store",
    "the broker": "kafka",
    "a server": "server",
    "another thread": "thread",
}
"""By the words of `stacks.PARTIES`."""


@runtime_checkable
class Parted(Protocol):
    """A source that depends on several servers."""

    @property
    def errors(self) -> Mapping[Dependency, str]:
        """Return the current problem for each server; empty if there is none."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A component that cannot work now. ``error`` says why, empty if only the wait is known."""

    component: str
    dependency: Dependency
    error: str


@dataclass(frozen=True, slots=True)
class Wait(Trouble):
    """A trouble, and when it was first seen, in seconds since the epoch."""

    since: float

    @property
    def in_words(self) -> str:
        """As text, without the error, which may name servers: /readyz is public."""
        return f"{self.component} waits for {IN_WORDS[self.dependency]} since {rfc3339(self.since)}"


class Dependencies:
    """`look` calls ``collect`` for all current troubles. Call it every second, so that `since` is accurate."""

    def __init__(self, collect: Callable[[], Iterable[Trouble]], now: Callable[[], float]) -> None:
        self._collect, self._now = collect, now
        self._since: dict[tuple[str, Dependency], float] = {}
        self._looking = threading.Lock()

    def look(self) -> list[Wait]:
        """Return the current waits, longest first."""
        with self._looking:
            now, known = self._now(), self._since
            troubles = {(each.component, each.dependency): each for each in attributed(self._collect(), known)}
            self._since = {place: known.get(place, now) for place in troubles}
            waits = [
                Wait(component, dependency, SECRETS.mask(trouble.error), self._since[component, dependency])
                for (component, dependency), trouble in troubles.items()
            ]
        return sorted(waits, key=lambda wait: (wait.since, wait.component, wait.dependency))


def attributed(troubles: Iterable[Trouble], known: Mapping[tuple[str, Dependency], float]) -> Iterator[Trouble]:
    """Attribute troubles that begin while the store is not writable to the store, since nothing can be stored then.

    Troubles in ``known`` existed before, and keep their own dependency.
    """
    found = list(troubles)
    no_store = any(trouble.dependency == "store" for trouble in found)
    for trouble in found:
        place = trouble.component, trouble.dependency
        separate = not no_store or trouble.dependency == "decision" or place in known
        yield trouble if separate else Trouble(trouble.component, "store", trouble.error)


def of_source(name: str, config: SourceConfig, source: Source) -> Iterator[Trouble]:
    """Yield the troubles of one source."""
    component, halted = f"source {name}", source.halted
    errors: Mapping[Dependency, str] = (
        source.errors if isinstance(source, Parted) else {OF_SOURCE.get(config.type, "server"): source.last_error or ""}
    )
    for dependency, error in errors.items():
        if error and not any(reason in error for reason in halted.values()):
            yield Trouble(component, dependency, error)
    if halted:
        yield Trouble(component, "decision", "; ".join(f"{part}: {halted[part]}" for part in sorted(halted)))


def of_threads(waiting: Mapping[str, str]) -> Iterator[Trouble]:
    """Yield threads that wait for others; ``waiting`` is the result of `Supervisor.waiting`."""
    for name, party in waiting.items():
        yield Trouble(f"thread {name}", OF_PARTY[party], "")
