"""The loop guard: outputs of a rule's own runs must not trigger the rule again."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from retrainer.rules.match import Condition, conditions
from retrainer.util import values

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.event import Event

_RUN = re.compile(r"[0-9A-Za-z_.-]{1,64}", re.ASCII)
"""Format of a run id. Nothing else is looked up in the store."""
ATTRIBUTE = "retrainerrun"
"""Name of the CloudEvents extension, which may have only lower-case letters and digits."""
HEADER = "retrainer-run"
"""Name of the header of HTTP and Kafka, and of the metadata of objects (after `x-amz-meta-`)."""


@dataclass(frozen=True, slots=True)
class Author:
    """The run that wrote what an event reports, and its rule."""

    run: str
    rule: str


@dataclass(frozen=True, slots=True)
class OwnOutputs:
    """What a data trigger treats as outputs of its own rule: events with the id of a run, and events in ``places``.

    ``places`` is empty if no place is configured.
    """

    by_run: bool = True
    places: tuple[Condition, ...] = ()

    def said(self, rule: str, event: Event, author: Author | None) -> str:
        """Why the event is an output of the rule's own runs, in words; empty if it is not."""
        if self.by_run and author is not None and author.rule == rule:
            return f"written by run {author.run} of this rule"
        if self.places and all(place.holds(event) for place in self.places):
            return "it is in the place where runs of this rule write: " + ", ".join(
                f"{'.'.join(place.path)} is {values.shown(place.expected)}" for place in self.places
            )
        return ""


def own_outputs(asked: bool | Mapping[str, str | int | float | bool]) -> OwnOutputs:
    """Compile `ignore_own_outputs`. A place is ignored in addition to events with the id of a run."""
    return OwnOutputs(by_run=asked) if isinstance(asked, bool) else OwnOutputs(places=conditions(asked))


def run_of(event: Event) -> str:
    """The id of the run that wrote what the event reports; empty if the event has none."""
    if not event.attributes and not event.record:
        return ""
    run = event.attributes.get(ATTRIBUTE) or event.record.get("headers", {}).get(HEADER)
    return run if isinstance(run, str) and _RUN.fullmatch(run) else ""
