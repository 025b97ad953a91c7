"""Registers the metrics and renders them in Prometheus' text format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest
from prometheus_client.registry import Collector

from retrainer.telemetry.series import Owned, Owners

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from retrainer.telemetry.series import Labels

PerRule = Literal["all", "core", "none"]
LEVELS: tuple[PerRule, ...] = ("none", "core", "all")
"""What is exported for each rule, from little to much."""
C = TypeVar("C", bound=Collector)
S = TypeVar("S")


class Exposition:
    """The metrics of one registry, with the prefix `retrainer_`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call] # they would double the series, for creation times
        self.level: PerRule = "all"
        """What is exported for each rule."""
        self._registry = registry
        self._rendered_by_client = {level: CollectorRegistry() for level in LEVELS}
        """Metrics that are not `Owned`, by the lowest level that exports them."""
        self._owned: list[Owned] = []
        self._dropped = self.counter("metrics_series_dropped", "Changes of series beyond 100 of one name per rule.")
        self._dropped_before = 0

    def add(self, made: C, level: PerRule = "none") -> C:
        """Export the collector. ``level`` is the lowest one that exports it; `Owned` have `Owned.export`."""
        self._registry.register(made)
        if isinstance(made, Owned):
            self._owned.append(made)
        else:
            self._rendered_by_client[level].register(made)
        return made

    def gauge(self, name: str, text: str) -> Gauge:
        return self.add(Gauge(f"retrainer_{name}", text, registry=None))

    def counter(self, name: str, text: str, *labels: str) -> Counter:
        return self.add(Counter(f"retrainer_{name}", text, labels, registry=None))

    def histogram(self, name: str, text: str, buckets: Sequence[float]) -> Histogram:
        return self.add(Histogram(f"retrainer_{name}", text, buckets=buckets, registry=None))

    def render(self) -> bytes:
        """All metrics in Prometheus' text format 0.0.4."""
        dropped = sum(owned.dropped for owned in self._owned)
        self._dropped.inc(dropped - self._dropped_before)
        self._dropped_before = dropped
        exported = LEVELS[: LEVELS.index(self.level) + 1]
        texts = [generate_latest(self._rendered_by_client[level]) for level in exported]
        return b"".join([*texts, *(owned.text().encode() for owned in self._owned if owned.exported)])


class Families(Generic[S]):
    """The metrics whose first label is a rule, a source or another kind of owner.

    Those that are declared with `gauge_of` or `counter_of` are computed from an ``S`` at each scrape.
    """

    def __init__(self, exposition: Exposition, owner: str) -> None:
        self.owners = Owners()
        self._exposition, self._owner = exposition, owner
        self._all: list[Owned] = []
        self._computed: list[tuple[Owned, Callable[[S], Mapping[str, Mapping[Labels, float]]]]] = []

    def counter(self, name: str, text: str, *labels: str) -> Owned:
        return self._add("counter", name, text, labels)

    def gauge(self, name: str, text: str, *labels: str) -> Owned:
        return self._add("gauge", name, text, labels)

    def gauge_of(self, name: str, text: str, values: Callable[[S], Mapping[str, float]]) -> None:
        """Export one series for each owner; owners that are not named have none."""
        self._computed.append((self.gauge(name, text), lambda seen: unlabelled(values(seen))))

    def counter_of(self, name: str, text: str, values: Callable[[S], Mapping[str, float]]) -> None:
        self._computed.append((self.counter(name, text), lambda seen: unlabelled(values(seen))))

    def labelled_gauge_of(
        self, name: str, text: str, label: str, values: Callable[[S], Mapping[str, Mapping[str, float]]]
    ) -> None:
        """Export series by owner and the value of one more label."""
        gauge = self.gauge(name, text, label)
        self._computed.append((gauge, lambda seen: {owner: by_label(of) for owner, of in values(seen).items()}))

    def collect(self, seen: S) -> None:
        """Replace the series that are computed at each scrape."""
        for family, values in self._computed:
            family.replace(values(seen))

    def keep_only(self, names: Iterable[str], exported: Callable[[str], bool] = lambda _: True) -> frozenset[str]:
        """Remove the series of all other owners, and those of families that are not ``exported``. Return the names."""
        kept = self.owners.replace(names)
        for family in self._all:
            family.export(exported(family.name))
            family.keep_only(kept)
        return kept

    def _add(self, kind: Literal["counter", "gauge"], name: str, text: str, labels: tuple[str, ...]) -> Owned:
        made = Owned(kind, f"retrainer_{name}", text, (self._owner, *labels), self.owners)
        self._all.append(made)
        return self._exposition.add(made)


def unlabelled(values: Mapping[str, float]) -> dict[str, dict[Labels, float]]:
    return {owner: {(): value} for owner, value in values.items()}


def by_label(values: Mapping[str, float]) -> dict[Labels, float]:
    return {(label,): value for label, value in values.items()}
