"""The nodes of a run, as they are shown: their names, folders, phases and times, and how many have ended."""

from __future__ import annotations

import re
import zlib
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from retrainer.util.clock import Clock
    from retrainer.workflows.local.node import Ended

MOST_NODES = 10_000
_LONGEST_FOLDER = 80


@dataclass(slots=True)
class NodeRecord:
    """``kind``: Argo's type, such as Pod or DAG. ``folder``: of a pod, its folder below `tasks`.

    Times are seconds since the epoch.
    """

    name: str
    kind: str
    template: str
    folder: str
    started: float
    phase: str = "Running"
    message: str = ""
    finished: float | None = None
    exit_code: int | None = None


class Nodes:
    """``changed``: something is to be written down. ``done`` and ``total`` count pods and what stands for them."""

    def __init__(self, clock: Clock) -> None:
        self.changed = True
        self.done = 0
        self.total = 1
        self._clock = clock
        self._records: list[NodeRecord] = []
        self._folders: set[str] = set()

    def start(self, name: str, kind: str, template: str) -> NodeRecord:
        """Record a node. Raise ValueError if a run has too many."""
        if len(self._records) >= MOST_NODES:
            raise ValueError(f"the run has more than {MOST_NODES} nodes")
        folder = self._folder(name) if kind == "Pod" else ""
        record = NodeRecord(name, kind, template, folder, self._clock.now())
        self._records.append(record)
        self.changed = True
        return record

    def end(self, record: NodeRecord, ended: Ended) -> None:
        record.phase, record.message, record.finished = ended.phase, ended.message, self._clock.now()
        record.exit_code = ended.outputs.exit_code
        self.changed = True
        if ended.phase in ("Succeeded", "Skipped") and record.kind in ("Pod", "Skipped", "Suspend"):
            self.done += 1

    def expect(self, more: int) -> None:
        """Count further nodes that are to end."""
        self.total += more
        self.changed = True

    def described(self) -> list[dict[str, Any]]:
        """Return the nodes as they are written down."""
        self.changed = False
        return [asdict(record) for record in self._records]

    def failures(self) -> list[dict[str, Any]]:
        """Return the failed nodes in the form of `{{workflow.failures}}`."""
        return [
            {"displayName": one.name, "message": one.message, "templateName": one.template, "phase": one.phase}
            for one in self._records
            if one.phase in ("Failed", "Error")
        ]

    def _folder(self, name: str) -> str:
        """Return a folder's name that is unique in the run, and that needs no quotes in a shell."""
        folder = re.sub(r"[^A-Za-z0-9_.-]+", ".", name).strip(".-") or "node"
        if len(folder) > _LONGEST_FOLDER:
            folder = f"{folder[:_LONGEST_FOLDER].rstrip('.-')}-{zlib.crc32(name.encode()):08x}"
        unique, count = folder, 1
        while unique in self._folders:
            count += 1
            unique = f"{folder}-{count}"
        self._folders.add(unique)
        return unique
