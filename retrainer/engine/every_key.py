"""Inputs that concern every live key of a rule: few keys at once, more of them in the transactions that follow.

What is left is a row of `fan_outs` with a cursor, as for slots, so that no restart loses or repeats a key.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from retrainer.rules.outcome import Followed, Resumed, Sample, Sampled, SlotDue
from retrainer.store import writes
from retrainer.store.rows import dump

if TYPE_CHECKING:
    from sqlalchemy import Row

    from retrainer.engine.work import Work
    from retrainer.rules.outcome import Input

Shared = Sampled | Followed | Resumed
S = TypeVar("S", Sampled, Followed, Resumed)


@dataclass(frozen=True, slots=True)
class EveryKey:
    """An input for all keys that are live when their turn comes."""

    given: Shared


def addressed(work: Work, rule: str, given: S) -> list[tuple[str, S | EveryKey]]:
    """The keys that an input concerns, each with it; the empty key with `EveryKey` if they are too many for now.

    Also while an earlier input is on its way to the rule's keys: no later one may overtake it.
    """
    if work.keys(rule) > work.budget.keys or _on_its_way(work, rule):
        return [("", EveryKey(given))]
    keys = work.live_keys(rule)
    work.budget.keys -= len(keys)
    return [(key, given) for key in keys]


def _on_its_way(work: Work, rule: str) -> bool:
    staged = any(row["rule"] == rule and row["input"] is not None for row in work.rows.get("fan_outs", ()))
    return staged or writes.fans_out_inputs(work.conn, rule)


def stage(work: Work, rule: str, every: EveryKey) -> None:
    """Have it folded in key by key, from the end of this transaction on."""
    told = dump({"kind": type(every.given).__name__, **asdict(every.given)})
    row = {"rule": rule, "trigger": getattr(every.given, "trigger", ""), "slot": float(work.number("seq")), "after": ""}
    work.rows["fan_outs"].append({**row, "input": told})
    work.fans_out = True


def input_of(row: Row[Any]) -> Input | None:
    """What a row of `fan_outs` has for each key: a slot, if it says nothing else; None for a kind that is not known.

    What only a newer release says is left out.
    """
    if row.input is None:
        return SlotDue(row.trigger, row.slot)
    told = orjson.loads(row.input)
    kind = _KINDS.get(told.pop("kind"))
    if kind is None:
        return None
    known = {name: told[name] for name in kind.__slots__ if name in told}
    if kind is Sampled:
        names = Sample.__slots__
        known["samples"] = tuple(Sample(**{name: one[name] for name in names}) for one in told["samples"])
    return kind(**known)


_KINDS: dict[str, type[Shared]] = {kind.__name__: kind for kind in (Sampled, Followed, Resumed)}
