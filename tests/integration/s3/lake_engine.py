"""An engine with a bucket source."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.houses.engine import RunningEngine

if TYPE_CHECKING:
    from retrainer.sources.base import Source


def rule(name: str, kind: str) -> dict[str, Any]:
    """A rule that takes every event of the type ``kind``, with a batch larger than any test produces."""
    data = {"source": "lake", "match": {"event.type": kind}, "batch": {"at_least": {"events": 10**6}}}
    return {"name": name, "triggers": {"new": {"data": data}}, "submit": {"workflow_template": "train"}}


CREATED, REMOVED = rule("train", "s3:ObjectCreated:*"), rule("forget", "s3:ObjectRemoved:*")


class LakeEngine(RunningEngine):
    """``lake`` is the source under test."""

    def lake(self, **settings: Any) -> Source:
        """Create and start the source, with one rule for created objects and one for removed ones."""
        return self.source("lake", {"type": "s3", **settings}, [CREATED, REMOVED])

    def subjects(self) -> list[str]:
        return [subject for _, subject, _ in self.events()]
