"""The journal's JSON of requested inputs: everything needed to repeat the request."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.outcome import Backfill, Input, Manual, Withdrawn

if TYPE_CHECKING:
    from collections.abc import Mapping

ASKED = frozenset(kind.__name__ for kind in (Manual, Backfill, Withdrawn))
"""Kinds of inputs that `asked_again` can recreate."""


def payload_of(given: Input) -> dict[str, Any]:
    """Return an input as JSON-shaped data; of kinds not in `ASKED` only plain values: the rest is stored elsewhere."""
    plain: dict[str, Any] = {
        n: v for n in type(given).__slots__ if isinstance(v := getattr(given, n), (str, int, float, bool))
    }
    if isinstance(given, (Manual, Backfill)):
        plain["parameters"] = dict(given.parameters)
    if isinstance(given, Backfill):
        plain["slots"] = [list(slot) for slot in given.slots]
    return plain


def asked_again(kind: str, payload: Mapping[str, Any]) -> Input:
    """Inverse of `payload_of` for the kinds in `ASKED`."""
    if kind == Withdrawn.__name__:
        return Withdrawn(bool(payload.get("manual")))
    common = (payload.get("parameters") or {}, str(payload.get("request", "")), str(payload.get("by", "")))
    if kind == Manual.__name__:
        return Manual(*common)
    return Backfill(tuple((trigger, slot) for trigger, slot in payload["slots"]), *common)
