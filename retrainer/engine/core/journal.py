"""What people ask for, as the journal keeps it: all that it takes to ask for it once more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.outcome import Backfill, Input, Manual, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Mapping

ASKED = frozenset(kind.__name__ for kind in (Manual, Backfill, Withdrawn))
"""Kinds of inputs that `asked_again` makes anew."""


def payload_of(given: Input) -> dict[str, Any]:
    """What an input says, in JSON; of what came by itself only the plain values, as the rest is known elsewhere."""
    plain: dict[str, Any] = {
        n: v for n in type(given).__slots__ if isinstance(v := getattr(given, n), (str, int, float, bool))
    }
    if isinstance(given, (Manual, Backfill)):
        plain["parameters"] = dict(given.parameters)
    if isinstance(given, Backfill):
        plain["slots"] = [list(slot) for slot in given.slots]
    return plain


def asked_again(kind: str, payload: Mapping[str, Any]) -> Input:
    """Inverse of `payload_of` for the kinds in ASKED."""
    if kind == Withdrawn.__name__:
        return Withdrawn(bool(payload.get("manual")))
    emitted = (payload.get("parameters") or {}, str(payload.get("request", "")), str(payload.get("by", "")))
    if kind == Manual.__name__:
        return Manual(*emitted)
    return Backfill(tuple((trigger, slot) for trigger, slot in payload["slots"]), *emitted)
