"""Series that belong to a rule or a source, and are removed with it."""

from __future__ import annotations

from collections import Counter
from itertools import islice
from threading import Lock
from typing import TYPE_CHECKING, Literal

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

Labels = tuple[str, ...]
MOST = 100
"""Maximum series of one owner in one family: a rule may define any number of outputs."""

EVENTS = {
    "received": "Events accepted and stored, or recognised as stored before: the sum of the other five.",
    "matched": "Events that at least one rule counted.",
    "filtered": "Events that rules of their source evaluated and did not match.",
    "duplicate": "Events that were delivered before.",
    "dead_lettered": "Events that could not be read, or that made a rule fail.",
    "ignored": "Events that no rule uses.",
}
OUTCOMES = tuple(word for word in EVENTS if word != "received")


class Owners:
    """The names whose series are kept. Until the first configuration is known, every name is accepted.

    A run that ends after its rule was removed cannot add series of the rule again.
    """

    def __init__(self) -> None:
        self._known: frozenset[str] | None = None

    def replace(self, names: Iterable[str]) -> frozenset[str]:
        self._known = frozenset(names)
        return self._known

    @property
    def names(self) -> frozenset[str]:
        return self._known or frozenset()

    def __contains__(self, name: str) -> bool:
        return self._known is None or name in self._known


class Owned(Collector):
    """A counter or gauge whose first label is its owner.

    A series takes a tenth of the memory of a child of prometheus_client, which matters with thousands of rules.
    """

    def __init__(self, kind: Literal["counter", "gauge"], name: str, text: str, labels: Labels, owners: Owners) -> None:
        self._family = CounterMetricFamily if kind == "counter" else GaugeMetricFamily
        self.name = name
        """Name of the family, without `_total`."""
        self._text, self._labels = text, labels
        self._owners = owners
        self._values: dict[Labels, float] = {}
        self._lock = Lock()
        self._series: Counter[str] = Counter()
        self.exported = True
        """Whether its series are kept and exported."""
        self.dropped = 0
        """Number of changes that were dropped because their owner already has `MOST` series."""

    def export(self, wanted: bool) -> None:
        """Keep and export its series from now on, or remove them."""
        self.exported = wanted
        if not wanted:
            self.keep_only(frozenset())

    def start_at_zero(self, owner: str, *rest: Labels) -> None:
        """Export series with 0 before the first event, so that a rate includes it."""
        for labels in rest:
            self._change(owner, labels, lambda before: before or 0.0)

    def keep_only(self, owners: frozenset[str]) -> None:
        with self._lock:
            self._values = {labels: value for labels, value in self._values.items() if labels[0] in owners}
            self._series = Counter(labels[0] for labels in self._values)

    def add(self, owner: str, amount: float, *rest: str) -> None:
        self._change(owner, rest, lambda before: (before or 0.0) + amount)

    def set(self, owner: str, value: float, *rest: str) -> None:
        self._change(owner, rest, lambda _: value)

    def raise_to(self, owner: str, value: float, *rest: str) -> None:
        """Set the value unless it is higher already: times may be reported out of order."""
        self._change(owner, rest, lambda before: value if before is None else max(before, value))

    def replace(self, values: Mapping[str, Mapping[Labels, float]]) -> None:
        """Replace all series of all owners; series that are not named are removed."""
        if not self.exported:
            return
        with self._lock:
            self._values = {
                (owner, *rest): value
                for owner, of_owner in values.items()
                if owner in self._owners
                for rest, value in islice(of_owner.items(), MOST)
            }
            self.dropped += sum(max(0, len(of_owner) - MOST) for of_owner in values.values())

    def _change(self, owner: str, rest: Labels, change: Callable[[float | None], float]) -> None:
        if not self.exported or owner not in self._owners:
            return
        with self._lock:
            labels = (owner, *rest)
            if labels not in self._values:
                if self._series[owner] >= MOST:
                    self.dropped += 1
                    return
                self._series[owner] += 1
            self._values[labels] = change(self._values.get(labels))

    def text(self) -> str:
        """Return the family in Prometheus' text format, ten times as fast as `generate_latest`."""
        name = f"{self.name}_total" if self._family is CounterMetricFamily else self.name
        kind = "counter" if self._family is CounterMetricFamily else "gauge"
        order = sorted(range(len(self._labels)), key=self._labels.__getitem__)
        named = [(i, f'{self._labels[i]}="') for i in order]
        with self._lock:
            snapshot = list(self._values.items())
        lines = [f"# HELP {name} {self._text}\n# TYPE {name} {kind}\n"]
        for labels, value in snapshot:
            inside = ",".join([f'{start}{escaped(labels[i])}"' for i, start in named])
            lines.append(f"{name}{{{inside}}} {floatToGoString(value)}\n")  # type: ignore[no-untyped-call]
        return "".join(lines)

    def describe(self) -> list[Metric]:
        return [self._family(self.name, self._text, labels=self._labels)]

    def collect(self) -> Iterator[Metric]:
        family = self._family(self.name, self._text, labels=self._labels)
        with self._lock:
            snapshot = list(self._values.items())
        for labels, value in snapshot:
            family.add_metric(labels, value)
        yield family


def escaped(value: str) -> str:
    """Return the value of a label as the text format writes it between quotes."""
    if "\\" in value or '"' in value or "\n" in value:
        return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    return value


class EventCounts(Collector):
    """Events by source and outcome, read under one lock: in every scrape the outcomes add up to `received`."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._counts: dict[str, dict[str, int]] = {}
        self._lock = Lock()

    def start_at_zero(self, source: str) -> None:
        with self._lock:
            self._counts.setdefault(source, dict.fromkeys(OUTCOMES, 0))

    def keep_only(self, sources: frozenset[str]) -> None:
        with self._lock:
            self._counts = {source: counts for source, counts in self._counts.items() if source in sources}

    def add(self, source: str, outcome: str, amount: int) -> None:
        if source not in self._owners:
            return
        with self._lock:
            self._counts.setdefault(source, dict.fromkeys(OUTCOMES, 0))[outcome] += amount

    def describe(self) -> list[Metric]:
        return list(self._families().values())

    @staticmethod
    def _families() -> dict[str, CounterMetricFamily]:
        return {
            word: CounterMetricFamily(f"retrainer_events_{word}", text, labels=["source"])
            for word, text in EVENTS.items()
        }

    def collect(self) -> Iterator[Metric]:
        with self._lock:
            snapshot = {source: {"received": sum(counts.values()), **counts} for source, counts in self._counts.items()}
        for word, family in self._families().items():
            for source, counts in snapshot.items():
                family.add_metric([source], counts[word])
            yield family


class Info(Collector):
    """A gauge of 1 for each set of labels; the sets may have different label names."""

    def __init__(self, name: str, text: str) -> None:
        self._name, self._text = name, text
        self._all: list[dict[str, str]] = []

    def replace(self, all_labels: list[dict[str, str]]) -> None:
        self._all = all_labels

    def describe(self) -> list[Metric]:
        return [Metric(self._name, self._text, "gauge")]

    def collect(self) -> Iterator[Metric]:
        metric = Metric(self._name, self._text, "gauge")
        for labels in self._all:
            metric.add_sample(self._name, labels, 1)
        yield metric
