"""Watches the Workflows of one namespace: list, then watch from the list's version, repeatedly.

Only metadata is transferred, because Argo keeps the phase in a label. A whole Workflow is fetched once, when it ended.
"""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import structlog

from retrainer.util.supervision import beat
from retrainer.workflows.argo.api_server import ApiRequest
from retrainer.workflows.argo.objects import ENDED, from_metadata, held
from retrainer.workflows.argo.stream import SILENCE, Stream
from retrainer.workflows.base import Later, Observed, WorkflowError
from retrainer.workflows.manifest import INSTANCE_LABEL

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Iterator

    from retrainer.workflows.argo.api_server import ApiServer

log = structlog.get_logger()

PARTIAL = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
PARTIAL_LIST = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
PAGE = 500
FETCHERS = 2
MAX_BACKOFF = 5.0
FETCH_TRIES = 6


@dataclass(frozen=True, slots=True)
class KnownWorkflow:
    """What is remembered of a Workflow between two observations."""

    name: str
    run: str
    phase: str
    deleting: bool


class NamespaceWatch:
    """Reports the Workflows of one instance in one namespace. Restarts by itself after errors.

    ``relist``: seconds between two full lists. ``read_timeout``: seconds that one watch lasts; a silent watch is
    detected `SILENCE` seconds after that.
    """

    def __init__(
        self, api: ApiServer, namespace: str, instance: str, *, relist: float = 300.0, read_timeout: float = 30.0
    ) -> None:
        self.namespace = namespace
        self.restarts = 0
        self.trouble = ""
        """Why the API server cannot be watched now; empty if it can."""
        self._api = api
        self._selector = quote(f"{INSTANCE_LABEL}={instance}")
        self._relist = relist
        self._read_timeout = read_timeout
        self._known: dict[str, KnownWorkflow] = {}
        self._stream = Stream(api)

    def run(
        self, get: Callable[[str, str], Observed | None], report: Callable[[Observed], None], stop: threading.Event
    ) -> None:
        """Report until `stop` is set. After setting it, call `close` to end a watch without events."""
        self._get, self._report, self._stop = get, report, stop
        self._pool = ThreadPoolExecutor(FETCHERS, thread_name_prefix=f"fetch-{self.namespace}")
        failures = 0
        while not stop.is_set():
            beat()
            try:
                version = self._list()
                failures, self.trouble = 0, ""
                self._follow(version)
            except Exception as error:  # noqa: BLE001 - whatever it was, listing again recovers
                if stop.is_set():
                    break
                self.restarts += 1
                self.trouble = str(error) or type(error).__name__
                log.warning("watch.restarted", namespace=self.namespace, error=str(error), restarts=self.restarts)
                beat(pause := min(MAX_BACKOFF, 0.1 * 2**failures))
                stop.wait(pause)
                failures = min(failures + 1, 10)
        self._pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End the current watch, from another thread."""
        self._stream.close()

    def _path(self) -> str:
        return f"/apis/argoproj.io/v1alpha1/namespaces/{quote(self.namespace)}/workflows"

    def _list(self) -> str:
        """Report what exists and what vanished since. Return the version to watch from."""
        there: set[str] = set()
        fields = {"labelSelector": self._selector, "limit": str(PAGE)}
        beat()
        for page in self._api.pages(ApiRequest("GET", self._path(), fields=fields, accept=PARTIAL_LIST)):
            for item in page["items"] or ():
                there.add(item["metadata"]["uid"])
                self._see(item, listed=True)
            beat()
        for uid in self._known.keys() - there:
            self._vanish(uid)
        return str(page["metadata"]["resourceVersion"])

    def _follow(self, version: str) -> None:
        until = time.monotonic() + self._relist
        while not self._stop.is_set() and (left := until - time.monotonic()) > 0:
            seconds = max(1, round(min(left, self._read_timeout)))
            beat(seconds + SILENCE)
            for event in self._watch(version, seconds):
                version = self._take(event)
                beat(seconds + SILENCE)

    def _watch(self, version: str, seconds: int) -> Iterator[dict[str, Any]]:
        fields = {"watch": "1", "resourceVersion": version, "allowWatchBookmarks": "true"}
        fields |= {"labelSelector": self._selector, "timeoutSeconds": str(seconds)}
        request = ApiRequest("GET", self._path(), fields=fields, accept=PARTIAL)
        return self._stream.read(request, read_timeout=seconds + SILENCE)

    def _take(self, event: dict[str, Any]) -> str:
        """Report one event of the stream. Return its version."""
        kind, item = event["type"], event["object"]
        if kind == "ERROR":
            raise Later(item.get("message", "the watch failed"), code=str(item.get("code", "watch")))
        if kind == "DELETED":
            self._vanish(item["metadata"]["uid"])
        elif kind != "BOOKMARK":
            self._see(item, listed=False)
        return str(item["metadata"]["resourceVersion"])

    def _see(self, item: dict[str, Any], *, listed: bool) -> None:
        seen = from_metadata(item)
        before = self._known.get(seen.uid)
        known = self._known[seen.uid] = KnownWorkflow(seen.name, seen.run, seen.phase, seen.deleting)
        if seen.phase not in ENDED:
            if listed or before != known:
                self._report(seen)
        elif before != known and (before is not None or held(item)):  # else its outcome was stored before
            self._pool.submit(self._fetch, seen)

    def _vanish(self, uid: str) -> None:
        known = self._known.pop(uid, None)
        if known is not None and known.phase not in ENDED:
            self._pool.submit(self._fetch, Observed(self.namespace, known.name, uid, known.run, known.phase))

    def _fetch(self, seen: Observed) -> None:
        """Report the whole Workflow, or that it is gone. If all requests fail, the next list reports it again."""
        for attempt in range(FETCH_TRIES):
            try:
                found = self._get(seen.namespace, seen.name)
            except WorkflowError as error:
                log.warning("workflow.unread", namespace=seen.namespace, workflow=seen.name, error=str(error))
                if self._stop.wait(min(MAX_BACKOFF, 0.2 * 2**attempt)):
                    return
                continue
            except Exception as error:
                log.exception("workflow.unread", namespace=seen.namespace, workflow=seen.name, error=str(error))
                found = seen
            self._report(found if found is not None and found.uid == seen.uid else replace(seen, gone=True))
            return
        self._known.pop(seen.uid, None)
