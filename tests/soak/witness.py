"""Observes the Workflows in the cluster independently of the daemons."""

from __future__ import annotations

import http.client
import threading
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks.cluster import ARGO, PAGE

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.benchmarks.cluster import Cluster

LOOK_EVERY = 3.0
"""Seconds. A Workflow exists for ninety seconds after its end."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A Workflow: its run and its arguments."""

    name: str
    uid: str
    run: str
    rule: str
    took: tuple[Any, ...]
    slot: str
    over: bool
    """It has ended and has no finalizer."""


class Witness:
    """``seen`` has the last state of each Workflow by uid."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._path = f"{ARGO}/{namespace}/workflows"
        self.seen: dict[str, Seen] = {}
        self.failed_looks = 0
        self._counts: Counter[str] = Counter()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._main, name="witness", daemon=True)
        self._thread.start()

    def count(self, rule: str) -> int:
        """The number of Workflows of a rule so far."""
        return self._counts[rule]

    def look(self) -> None:
        """Poll once. Raise OSError or RuntimeError if the API server does not answer."""
        for item in self._items():
            known = self.seen.get(item["metadata"]["uid"])
            if known is None or not known.over:
                found = seen(item)
                self.seen[found.uid] = found
                self._counts[found.rule] += known is None

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def _main(self) -> None:
        while not self._stop.wait(LOOK_EVERY):
            try:
                self.look()
            except (OSError, RuntimeError, http.client.HTTPException):  # frozen or restarting
                self.failed_looks += 1

    def _items(self) -> Iterator[dict[str, Any]]:
        token = ""
        while True:
            page = self._cluster.request("GET", f"{self._path}?limit={PAGE}&continue={token}")
            yield from page["items"]
            if not (token := page["metadata"].get("continue", "")):
                return


def seen(item: dict[str, Any]) -> Seen:
    """Parse a Workflow from the API server."""
    metadata = item["metadata"]
    given = {p["name"]: str(p.get("value", "")) for p in item["spec"].get("arguments", {}).get("parameters", ())}
    phase = item.get("status", {}).get("phase")
    return Seen(
        name=metadata["name"],
        uid=metadata["uid"],
        run=metadata.get("annotations", {}).get("retrainer.dev/run", ""),
        rule=metadata.get("labels", {}).get("retrainer.dev/rule", ""),
        took=_numbers(given.get("took", "")),
        slot=given.get("slot", ""),
        over=phase in ("Succeeded", "Failed", "Error") and not metadata.get("finalizers"),
    )


def _numbers(text: str) -> tuple[int | str, ...]:
    """Numbers or keys. Empty for any other text, which bad rules may give."""
    try:
        found = orjson.loads(text or "[]")
    except orjson.JSONDecodeError:
        return ()
    return tuple(one for one in found if isinstance(one, (int, str))) if isinstance(found, list) else ()
