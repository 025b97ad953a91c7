"""Metrics of the process: its threads, its configuration, its HTTP server."""

from __future__ import annotations

import math
import platform
from collections import defaultdict
from importlib.metadata import version
from typing import TYPE_CHECKING, Protocol

from prometheus_client import ProcessCollector

from retrainer.telemetry.exposition import Families
from retrainer.telemetry.series import Info

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from retrainer.telemetry.exposition import Exposition
    from retrainer.util.supervisor import Seen


class Waiting(Protocol):
    """A component that waits for a dependency, since ``since`` (epoch seconds)."""

    @property
    def component(self) -> str: ...
    @property
    def dependency(self) -> str: ...
    @property
    def since(self) -> float: ...


class ProcessMetrics:
    def __init__(self, exposition: Exposition, name: str) -> None:
        self.threads: Callable[[], Sequence[Seen]] = tuple
        """Returns the state of the threads; called at each scrape, on the thread that serves it."""
        self.waits: Callable[[], Sequence[Waiting]] = tuple
        """Returns the components that wait; called in the same way."""
        self._threads: Families[Sequence[Seen]] = Families(exposition, "thread")
        self._threads.gauge_of(
            "thread_heartbeat_age_seconds",
            "Time since the last heartbeat.",
            lambda seen: {each.name: each.silence for each in seen},
        )
        self._threads.gauge_of(
            "thread_stuck",
            "Whether the thread hangs, other than in a wait.",
            lambda seen: {each.name: each.stuck for each in seen},
        )
        self._threads.counter_of(
            "thread_restarts",
            "Restarts of a thread that failed.",
            lambda seen: {each.name: each.restarts for each in seen},
        )
        self._components: Families[Sequence[Waiting]] = Families(exposition, "component")
        self._components.labelled_gauge_of(
            "waiting_since_timestamp_seconds", "Since when a component waits for a dependency.", "dependency", _since
        )
        self._dead_letters_left_out = exposition.counter(
            "dead_letters_left_out", "Unreadable items covered by another dead letter.", "source"
        )
        self._refused = exposition.counter("http_refused", "Rejected HTTP requests.", "door", "status")
        self._refused_tokens = exposition.counter(
            "api_tokens_refused",
            "Requests to the API whose token was missing, unknown, or without the verb.",
            "token",
            "reason",
        )
        self._declare_configuration(exposition, name)
        exposition.add(ProcessCollector(registry=None))

    def _declare_configuration(self, exposition: Exposition, name: str) -> None:
        self._reload_ok = exposition.gauge(
            "config_last_reload_successful", "Whether all files were valid when last read."
        )
        self._reload_at = exposition.gauge(
            "config_last_reload_success_timestamp_seconds", "When all files were last valid."
        )
        self._problems = exposition.gauge("config_file_problems", "Mistakes in the current files.")
        self._spans_dropped = exposition.counter("trace_spans_dropped", "Spans that were not exported.")
        self._certificate = exposition.gauge(
            "tls_certificate_expiry_timestamp_seconds", "When the served certificate expires; NaN without TLS."
        )
        self._certificate.set(math.nan)
        build = Info(
            "retrainer_build_info", "1, with the name of the instance, and the versions of retrainer and Python."
        )
        build.replace([{"name": name, "version": version("retrainer"), "python": platform.python_version()}])
        exposition.add(build)

    def collect(self) -> None:
        self._threads.collect(self.threads())
        self._components.collect(self.waits())

    def configured(self, problems: int, now: float) -> None:
        """The files were read, with so many mistakes."""
        self._problems.set(problems)
        self._reload_ok.set(problems == 0)
        if not problems:
            self._reload_at.set(now)

    def spans_dropped(self, count: int) -> None:
        """Count spans that could not be exported, and facts that did not become spans."""
        self._spans_dropped.inc(count)

    def certificate_expires(self, at: float) -> None:
        self._certificate.set(at)

    def refused(self, door: str, status: int) -> None:
        """Count a rejected request. ``door`` is a source, `api`, or `hooks` for a path without a source."""
        self._refused.labels(door, str(status)).inc()

    def refused_token(self, token: str, reason: str) -> None:
        """Count a refused token. ``token`` is its name, empty if it is unknown; ``reason`` none, unknown or verb."""
        self._refused_tokens.labels(token, reason).inc()

    def dead_letters_left_out(self, source: str, count: int) -> None:
        """Count unreadable items for which an earlier dead letter exists."""
        self._dead_letters_left_out.labels(source).inc(count)


def _since(waits: Sequence[Waiting]) -> Mapping[str, Mapping[str, float]]:
    since: dict[str, dict[str, float]] = defaultdict(dict)
    for wait in waits:
        since[wait.component][wait.dependency] = wait.since
    return since
