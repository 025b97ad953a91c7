"""The loop guard: what a run of the rule itself wrote must not start the rule again."""

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
"""What the id of a run may look like: nothing else is looked up in the store."""
ATTRIBUTE = "retrainerrun"
"""CloudEvents lets extensions have small letters and digits only."""
HEADER = "retrainer-run"
"""The same in headers of HTTP and Kafka, and behind `x-amz-meta-` in the metadata of objects."""


@dataclass(frozen=True, slots=True)
class Author:
    """The run that wrote what an event tells of, and its rule."""

    run: str
    rule: str


@dataclass(frozen=True, slots=True)
class OwnOutputs:
    """What a data trigger takes for outputs of its own rule: what bears the id of a run, and what lies in ``places``.

    ``places`` is empty if the place tells nothing.
    """

    by_run: bool = True
    places: tuple[Condition, ...] = ()

    def said(self, rule: str, event: Event, author: Author | None) -> str:
        """Why the event is an output of the rule's own runs, in words; empty if it is none."""
        if self.by_run and author is not None and author.rule == rule:
            return f"written by run {author.run} of this very rule"
        if self.places and all(place.holds(event) for place in self.places):
            return "it lies where this rule's own runs write: " + ", ".join(
                f"{'.'.join(place.path)} is {values.shown(place.expected)}" for place in self.places
            )
        return ""


def own_outputs(asked: bool | Mapping[str, str | int | float | bool]) -> OwnOutputs:
    """What `ignore_own_outputs` says; a place is ignored beside what bears the id of a run."""
    return OwnOutputs(by_run=asked) if isinstance(asked, bool) else OwnOutputs(places=conditions(asked))


def run_of(event: Event) -> str:
    """The id of the run that wrote what the event tells of; empty if it bears none."""
    if not event.attributes and not event.record:
        return ""
    run = event.attributes.get(ATTRIBUTE) or event.record.get("headers", {}).get(HEADER)
    return run if isinstance(run, str) and _RUN.fullmatch(run) else ""
