"""Rule files of teams, read from ConfigMaps and followed: a changed one is seen at once, without a restart.

A watch here is no more than a bell: whatever it says, the namespace is listed again, so that what is known is always
one whole list. While the API server cannot be reached, what was read last stays.
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
from retrainer.workflows.argo.api_server import ApiServer
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
    """All namespaces of teams together."""

    def __init__(self, settings: Settings) -> None:
        self._follow: list[_Namespace] = []
        self._stop = threading.Event()
        self._threads: list[Worker] = []
        if settings.config_maps is not None and settings.engine.type == "argo":
            names = settings.config_maps.namespaces
            selector = settings.config_maps.selector or f"{LABEL}={settings.name}"
            api = ApiServer(
                settings.engine.kubeconfig, connections=2 * len(names), timeout=settings.engine.request_timeout
            )
            self._follow = [_Namespace(api, name, selector) for name in names]

    @property
    def files(self) -> TeamFiles:
        """What was read last."""
        known = [one.known for one in self._follow]
        texts = {file: text for one in known for file, text in one.texts.items()}
        return TeamFiles(texts, tuple(problem for one in known for problem in one.problems))

    @property
    def troubles(self) -> dict[str, str]:
        """By namespace, why its ConfigMaps cannot be read or watched for the moment."""
        return {one.name: one.trouble for one in self._follow if one.trouble}

    def read(self) -> None:
        """Read all of them once; a namespace that cannot be read is a problem among the files."""
        for namespace in self._follow:
            namespace.read()

    def start(self, changed: Callable[[], object]) -> None:
        """Follow them, and call `changed` whenever `files` has changed, from threads of our own."""
        for namespace in self._follow:
            namespace.told = namespace.known
            run = partial(namespace.run, changed, self._stop)
            thread = Worker("rules", run, self._stop.is_set, name=f"rules-{namespace.name}", owner=namespace.name)
            thread.start()
            self._threads.append(thread)

    def stop(self, within: float = LONGEST_WAIT) -> None:
        """Return once they have ended; those that have not within so many seconds are left behind."""
        self._stop.set()
        for namespace in self._follow:
            namespace.close()
        join_all(self._threads, within)


class _Namespace:
    def __init__(self, api: ApiServer, name: str, selector: str) -> None:
        self.name = name
        self.known = NO_TEAMS
        self.told = NO_TEAMS
        self.trouble = ""
        """Why it cannot be read or watched for the moment; empty if it can."""
        self._read = False
        self._reading = threading.Lock()
        self._version = ""
        self._api = api
        self._stream = Stream(api)
        self._path = f"/api/v1/namespaces/{quote(name)}/configmaps"
        self._selector = quote(selector)

    def read(self) -> bool:
        """List anew; tell whether the list could be had."""
        with self._reading:  # one at a time, so that an older list never comes last
            return self._list()

    def _list(self) -> bool:
        try:
            page = self._api.request("GET", self._path, fields={"labelSelector": self._selector})
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
        """Until ``stop``: whatever goes wrong here is said, and tried again."""
        failures = 0
        while not stop.is_set():
            beat()
            if self._look(changed) and self._await_change(stop):
                failures = 0
            else:
                rest(stop, min(MAX_BACKOFF, 0.5 * 2**failures))
                failures = min(failures + 1, 10)

    def _look(self, changed: Callable[[], object]) -> bool:
        """Read anew, and tell what nobody has taken over yet; whether both could be done."""
        try:
            listed, known = self.read(), self.known
            if known != self.told:
                changed()
                self.told = known
        except Exception as error:  # noqa: BLE001 - a thread that ends here would never see another version
            log.warning("config_maps.not_taken", namespace=self.name, error=f"{type(error).__name__}: {error}")
            return False
        return listed

    def close(self) -> None:
        self._stream.close()

    def _await_change(self, stop: threading.Event) -> bool:
        """Return once the watch says anything, or has nothing to say for its time; False if it failed."""
        fields = {"watch": "1", "resourceVersion": self._version, "labelSelector": self._selector}
        fields["timeoutSeconds"] = str(PATIENCE)
        beat(PATIENCE + SILENCE)
        try:
            for _ in self._stream.read(self._path, fields, read_timeout=PATIENCE + SILENCE):
                return True
        except Exception as error:  # noqa: BLE001 - whatever it was, the way out is to list again
            if not stop.is_set():
                self.trouble = str(error)
                log.warning("config_maps.unwatched", namespace=self.name, error=str(error))
            return False
        return True


def contents(namespace: str, items: Any) -> TeamFiles:
    """Read the rule files out of a list of ConfigMaps."""
    texts = {}
    problems = []
    for item in items:
        name, data = item["metadata"]["name"], item.get("data") or {}
        found = {team_file(namespace, name, key): text for key, text in data.items() if rule_file(key)}
        texts.update(found)
        if not found:
            nothing = beginning(team_file(namespace, name))
            problems.append(nothing.problem("", "holds no rule file", "name a key of its data `….yaml`"))
    return TeamFiles(texts, tuple(problems))


def _unread(namespace: str, error: WorkflowError) -> Problem:
    why = f"the ConfigMaps of namespace {namespace} cannot be read: {error}"
    return beginning(team_file(namespace)).problem("", why, _ASK if error.code == "403" else "see that it is there")
