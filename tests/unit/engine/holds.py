"""Invariants of a side."""

from __future__ import annotations

import json
from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from retrainer.rules.state import decode
from tests.unit.engine.switchboard import BAD

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.unit.engine.side import Side

TROUBLE = (
    "engine.careful",
    "rule.quarantined",
    "input.left_out",
    "event.raised",
    "observation.raised",
    "admission.raised",
)
"""Log events of a contained fault. They are allowed only while there is a fault."""
DISASTER = ("engine.failed", "batch.raised", "listener.failed")


def fails_alone(side: Side, *, faulty: bool) -> None:
    """Assert that only the bad rule is reported as failing, and only during a fault."""
    for line in side.said:
        word = line["event"]
        allowed = faulty and line.get("rule", BAD) == BAD
        if word in DISASTER or (word in TROUBLE and not allowed):
            raise AssertionError(f"{side.name or 'model'}: {line}") from _cause(line)


def acknowledged_is_there(side: Side, acknowledged: Sequence[tuple[str, str, str]], *, letters: bool) -> None:
    """Each acknowledged event is in the ledger, once if its source detects duplicates, or is a dead letter.

    ``letters``: all dead letters are kept, so a missing one is an error.
    """
    kept = {(row["source"], row["event"]) for row in side.rows("dead_letters")}
    ledger = Counter((row["source"], row["id"]) for row in side.rows("events"))
    assert all(many == 1 for name, many in ledger.items() if name[0] == "push")
    for source, name, word in acknowledged:
        where = (source, name)
        assert word not in ("matched", "filtered", "ignored") or ledger[where], (where, word)
        assert word != "dead_lettered" or not letters or where in kept, (where, word)


def counted_once(side: Side) -> None:
    """No event is pending twice, or both pending and in a run that consumed it or may still consume it."""
    fed = Counter(row["state"] for row in side.rows("inputs"))
    taken: Counter[tuple[str, str]] = Counter()
    for row in side.rows("runs"):
        if row["ended_at"] is None or row["phase"] == "SUCCEEDED":
            taken[row["rule"], row["key"]] += json.loads(row["window"]).get("events", 0)
    for row in side.rows("states"):
        state = decode(row["state"])
        window = state.window
        pending = [seq for lo, hi in window.ranges for seq in range(lo, hi + 1)]
        assert len(pending) == len(set(pending))
        where = row["rule"], row["key"]
        assert window.events + taken[where] <= fed[row["id"]], where
        if row["rule"] == "good":
            assert window.events + taken[where] == fed[row["id"]]
            fresh = [seq for seq in pending if seq > state.taken_hi]  # a failed run does not start another one
            assert window.events < 2 or not fresh, "it takes two, and nothing holds it back"


def _cause(line: dict[str, Any]) -> BaseException | None:
    found = line.get("exc_info")
    return found if isinstance(found, BaseException) else None


def unlike(wanted: list[Any], seen: list[Any]) -> str:
    """The first difference; empty if there is none."""
    for n, (one, other) in enumerate(zip_longest(wanted, seen)):
        if one != other:
            return f"number {n} should be {one}, but is {other}"
    return ""
