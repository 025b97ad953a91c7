"""What the daemon waits for that is not its own: which part of it, for whom, since when, and why.

A broker, a queue, a bucket, Prometheus or the API server that is away does not make the daemon unready: it still takes
in what others send. `Dependencies` names each of them for /readyz, `retrainer status` and the metrics.
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
    "decision": "somebody to decide how its halted partitions are read on",
    "server": "a server",
    "thread": "another thread",
}
OF_SOURCE: Final[Mapping[str, Dependency]] = {"kafka": "kafka", "prometheus": "prometheus", "directory": "folder"}
"""What a source of this type needs; sources of type `s3` say it themselves."""
OF_PARTY: Final[Mapping[str, Dependency]] = {
    "the store": "store",
    "the broker": "kafka",
    "a server": "server",
    "another thread": "thread",
}
"""The words of `supervisor.PARTIES`."""


@runtime_checkable
class Parted(Protocol):
    """A source that needs several servers."""

    @property
    def errors(self) -> Mapping[Dependency, str]:
        """Return what keeps it from its work, by the server that does; empty for one that does not."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """A component that cannot do its work now. ``error`` says why, empty if only the wait is known."""

    component: str
    dependency: Dependency
    error: str


@dataclass(frozen=True, slots=True)
class Wait:
    """A trouble, and when it was first seen, in seconds since the epoch."""

    component: str
    dependency: Dependency
    error: str
    since: float

    @property
    def in_words(self) -> str:
        """Without the error, which may name servers: /readyz is open to everybody."""
        return f"{self.component} waits for {IN_WORDS[self.dependency]} since {rfc3339(self.since)}"


class Dependencies:
    """`look` asks ``ask`` for all troubles as they are now; call it every second, so that `since` is right."""

    def __init__(self, ask: Callable[[], Iterable[Trouble]], now: Callable[[], float]) -> None:
        self._ask, self._now = ask, now
        self._since: dict[tuple[str, Dependency], float] = {}
        self._looking = threading.Lock()

    def look(self) -> list[Wait]:
        """Return what is waited for now, what has lasted longest first."""
        with self._looking:
            now, known = self._now(), self._since
            troubles = {(one.component, one.dependency): one for one in attributed(self._ask(), known)}
            self._since = {place: known.get(place, now) for place in troubles}
            waits = [
                Wait(component, dependency, SECRETS.mask(one.error), self._since[component, dependency])
                for (component, dependency), one in troubles.items()
            ]
        return sorted(waits, key=lambda wait: (wait.since, wait.component, wait.dependency))


def attributed(troubles: Iterable[Trouble], known: Mapping[tuple[str, Dependency], float]) -> Iterator[Trouble]:
    """Troubles that begin while the store takes no writes are put down to the store: nobody can hand anything over.

    ``known`` are those that were there before, which keep their own dependency.
    """
    found = list(troubles)
    no_store = any(one.dependency == "store" for one in found)
    for one in found:
        own = not no_store or one.dependency == "decision" or (one.component, one.dependency) in known
        yield one if own else Trouble(one.component, "store", one.error)


def of_source(name: str, config: SourceConfig, source: Source) -> Iterator[Trouble]:
    """What keeps one source from its work."""
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
    """Threads that wait for others; ``waiting`` is as `Supervisor.waiting` gives it."""
    for name, party in waiting.items():
        yield Trouble(f"thread {name}", OF_PARTY[party], "")
