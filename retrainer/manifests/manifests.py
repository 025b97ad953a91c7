"""The address of a run's manifest, and writing it before the Workflow is created."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import structlog

from retrainer.config.settings import ApiManifests, S3Manifests
from retrainer.manifests.document import document
from retrainer.manifests.places import ManifestBucket, PlaceError, Volume
from retrainer.workflows.base import Later

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.config.settings import Settings
    from retrainer.manifests.document import Read
    from retrainer.manifests.places import Place
    from retrainer.runs.run import Run

log = structlog.get_logger()


def manifest_uri(settings: Settings, own_url: Callable[[], str]) -> Callable[[str], str]:
    """Return the function from a run's id to the address of its manifest. The address never changes.

    ``own_url`` returns the daemon's own address, used if `manifests.base_url` is not set.
    """
    chosen = settings.manifests
    if isinstance(chosen, ApiManifests):
        base = chosen.base_url
        return lambda run: f"{(base or own_url()).rstrip('/')}/api/v1/runs/{run}/manifest"
    root = chosen.url if isinstance(chosen, S3Manifests) else chosen.uri
    return lambda run: f"{root.rstrip('/')}/{_name(run)}"


def _name(run: str) -> str:
    return f"{run}.json"


class Manifests:
    """Writes manifests to the configured place. Thread-safe."""

    def __init__(self, settings: Settings, read: Read) -> None:
        self._read = read
        self._place = _place(settings)
        self._stopped = False
        self._writing: set[str] = set()
        self._lock = threading.Lock()

    def needed(self, run: Run) -> bool:
        """Whether the run's parameters refer to a manifest that must be written."""
        return self._place is not None and _mentioned(run)

    def prepare(self, run: Run) -> None:
        """Write the manifest if it is needed and does not exist. Raise Later if it cannot be written now.

        All attempts of a chain have the parameters of the first one, and therefore its manifest.
        """
        if self._place is None or not self.needed(run):
            return
        first = run.chain or run.id
        with self._lock:
            if first in self._writing:
                raise Later(f"the manifest of run {first} is still being written", code="manifest")
            self._writing.add(first)
        try:
            if not self._place.has(_name(first)):
                self._place.put(_name(first), self._pieces(first))
                log.info("manifest.written", rule=run.rule, key=run.key, run=first)
        except (PlaceError, LookupError) as error:
            raise Later(f"the manifest cannot be written: {error.args[0]}", code="manifest") from error
        finally:
            with self._lock:
                self._writing.discard(first)

    def stop(self) -> None:
        """Abort manifests that are being written. Their runs wait, and continue at the next start."""
        self._stopped = True

    def _pieces(self, run: str) -> Iterator[bytes]:
        for piece in document(self._read, run):
            if self._stopped:
                raise Later("retrainer was stopped before the manifest was written", code="manifest")
            yield piece


def _place(settings: Settings) -> Place | None:
    chosen = settings.manifests
    if isinstance(chosen, ApiManifests):
        return None
    return ManifestBucket(chosen) if isinstance(chosen, S3Manifests) else Volume(chosen)


def _mentioned(run: Run) -> bool:
    """Whether the rule's parameters refer to `manifest_uri`. The templates are checked, not the rendered values."""
    parameters: dict[str, Any] = run.submit.get("parameters") or {}
    return any("manifest_uri" in str(value) for value in parameters.values())
