"""What each new run gets that no rule sets: its namespace, its id, the address of its manifest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ulid import ULID

NewId = Callable[[str, str, float], str]
"""Returns the id of a new run, from its rule, its key and now (seconds since the epoch)."""


def new_run_id(_rule: str, _key: str, now: float) -> str:
    """Return a ULID: ids sort by the time of creation."""
    return str(ULID.from_timestamp(now))


@dataclass(frozen=True, slots=True)
class RunDefaults:
    """What a run gets that its rule does not set.

    ``namespace`` is for rules without one. ``manifest_uri`` returns the address of the manifest of the run with an id.
    """

    namespace: str
    manifest_uri: Callable[[str], str] = "".format
    new_id: NewId = new_run_id
