"""Rule files of teams, read from ConfigMaps. Changes apply at once, without a restart.

A watch event only triggers a new list of the namespace, so the known state is always one complete list. While the API
server is unreachable, the last list stays in use.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from retrainer.config.document import beginning
from retrainer.config.files import rule_file
from retrainer.config.teams import LABEL, NO_TEAMS, TeamFiles, team_file
from retrainer.util.supervision import LONGEST_WAIT, Worker, beat, join_all, rest
from retrainer.workflows.argo.api_server import ApiRequest, ApiServer
from retrainer.workflows.argo.errors import MISSING
from retrainer.workflows.argo.stream import SILENCE, Stream
from retrainer.workflows.base import WorkflowError

if TYPE_CHECKING:
    from collections.abc import Callable

    from retrainer.config.errors import Problem
    from retrainer.config.settings import Settings

log = structlog.get_logger()

PATIENCE = 60
"""Seconds that one watch lasts."""
MAX_BACKOFF = 15.0
_ASK = "give the service account a Role with the verbs list and watch on configmaps there"


class ConfigMaps:
    """The ConfigMaps of all team namespaces."""

    def __init__(self, settings: Settings) -> None:
        self._namespaces: list[_Namespace] = []
        self._stop = threading.Event()
        self._threads: list[Worker] = []
        if settings.config_maps is not None and settings.engine.type == "argo":
            names = settings.config_maps.namespaces
            selector = settings.config_maps.selector or f"{LABEL}={settings.name}"
            api = ApiServer(
                settings.engine.kubeconfig, connections=2 * len(names), timeout=settings.engine.request_timeout
            )
            self._namespaces = [_Namespace(api, name, selector) for name in names]

    @property
    def files(self) -> TeamFiles:
        """The files of the last read."""
        known = [namespace.known for namespace in self._namespaces]
        texts = {file: text for files in known for file, text in files.texts.items()}
        return TeamFiles(texts, tuple(problem for files in known for problem in files.problems))

    @property
    def troubles(self) -> dict[str, str]:
        """By namespace: why its ConfigMaps cannot be read or watched now."""
        return {each.name: each.trouble for each in self._namespaces if each.trouble}

    def read(self) -> None:
        """Read all namespaces once. An unreadable namespace becomes a problem in `files`."""
        for namespace in self._namespaces:
            namespace.read()

    def start(self, changed: Callable[[], object]) -> None:
        """Watch the namespaces, and call `changed` from our own threads whenever `files` has changed."""
        for namespace in self._namespaces:
            namespace.applied = namespace.known
            run = partial(namespace.run, changed, self._stop)
            thread = Worker("rules", run, self._stop.is_set, name=f"rules-{namespace.name}", owner=namespace.name)
            thread.start()
            self._threads.append(thread)

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Return once all threads have ended; those that have not ended within ``within`` seconds are left behind."""
        self._stop.set()
        for namespace in self._namespaces:
            namespace.close()
        join_all(self._threads, within)


class _Namespace:
    def __init__(self, api: ApiServer, name: str, selector: str) -> None:
        self.name = name
        self.known = NO_TEAMS
        self.applied = NO_TEAMS
        self.trouble = ""
        """Why it cannot be read or watched now; empty if it can."""
        self._read = False
        self._reading = threading.Lock()
        self._version = ""
        self._api = api
        self._stream = Stream(api)
        self._path = f"/api/v1/namespaces/{quote(name)}/configmaps"
        self._selector = quote(selector)

    def read(self) -> bool:
        """List again. Return whether that succeeded."""
        with self._reading:  # one at a time, so that an older list never replaces a newer one
            return self._list()

    def _list(self) -> bool:
        try:
            page = self._api.send(ApiRequest("GET", self._path, fields={"labelSelector": self._selector}))
        except WorkflowError as error:
            self.trouble = str(error)
            log.warning("config_maps.unread", namespace=self.name, error=str(error))
            if not self._read or error.code in ("403", MISSING):
                self.known = self.known._replace(problems=(_unread(self.name, error),))
            return False
        self.known, self.trouble = contents(self.name, page["items"] or ()), ""
        self._version, self._read = str(page["metadata"]["resourceVersion"]), True
        return True

    def run(self, changed: Callable[[], object], stop: threading.Event) -> None:
        """Run until ``stop``. Errors are logged, and the work is retried."""
        failures = 0
        while not stop.is_set():
            beat()
            if self._look(changed) and self._await_change(stop):
                failures = 0
            else:
                rest(stop, min(MAX_BACKOFF, 0.5 * 2**failures))
                failures = min(failures + 1, 10)

    def _look(self, changed: Callable[[], object]) -> bool:
        """List again, and call ``changed`` for changes that were not applied yet. Return whether both succeeded."""
        try:
            listed, known = self.read(), self.known
            if known != self.applied:
                changed()
                self.applied = known
        except Exception as error:  # noqa: BLE001 - if this thread ended, no later change would be applied
            log.warning("config_maps.not_taken", namespace=self.name, error=f"{type(error).__name__}: {error}")
            return False
        return listed

    def close(self) -> None:
        self._stream.close()

    def _await_change(self, stop: threading.Event) -> bool:
        """Return True at the first watch event or the watch's end, False if it failed."""
        fields = {"watch": "1", "resourceVersion": self._version, "labelSelector": self._selector}
        fields["timeoutSeconds"] = str(PATIENCE)
        beat(PATIENCE + SILENCE)
        try:
            for _ in self._stream.read(ApiRequest("GET", self._path, fields=fields), read_timeout=PATIENCE + SILENCE):
                return True
        except Exception as error:  # noqa: BLE001 - whatever it was, listing again recovers
            if not stop.is_set():
                self.trouble = str(error)
                log.warning("config_maps.unwatched", namespace=self.name, error=str(error))
            return False
        return True


def contents(namespace: str, items: Any) -> TeamFiles:
    """Return the rule files in a list of ConfigMaps."""
    texts = {}
    problems = []
    for item in items:
        name, data = item["metadata"]["name"], item.get("data") or {}
        found = {team_file(namespace, name, key): text for key, text in data.items() if rule_file(key)}
        texts.update(found)
        if not found:
            nothing = beginning(team_file(namespace, name))
            problems.append(nothing.problem("", "contains no rule file", "name a key of its data `….yaml`"))
    return TeamFiles(texts, tuple(problems))


def _unread(namespace: str, error: WorkflowError) -> Problem:
    why = f"the ConfigMaps of namespace {namespace} cannot be read: {error}"
    return beginning(team_file(namespace)).problem(
        "", why, _ASK if error.code == "403" else "check that the namespace exists"
    )
