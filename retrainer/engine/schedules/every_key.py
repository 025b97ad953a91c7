"""Inputs that concern many keys of a rule: a limited number of keys per transaction.

The remaining keys are stored as a row of `fan_outs` with a cursor, as for slots. A restart loses or repeats no key.
"""

from __future__ import annotations

from dataclasses import asdict
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeVar

import orjson

from retrainer.engine.core.transaction_budget import KEYS
from retrainer.engine.schedules.spread import EachKey, EveryKey, Reading, Shared, Spread
from retrainer.rules.outcome import Input, Resumed, Sample, Sampled, SlotDue, UpstreamEnded
from retrainer.store import statements
from retrainer.store.rows import dump

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.engine.core.transaction import Transaction

S = TypeVar("S", Sampled, UpstreamEnded, Resumed)


def within_budget(tx: Transaction, readings: Sequence[Reading]) -> list[Reading]:
    """Return the readings. Groups that exceed the budget of this transaction become `EachKey`, to be folded later.

    The same applies while earlier inputs of the rule are still being fanned out: a later poll must not overtake them.
    """
    found: list[Reading] = []
    for these in by_trigger(readings):
        rule = these[0][0][0]
        of = {key: given for (_, key), given in these if isinstance(given, Sampled)}
        if len(of) < len(these) or (len(of) == 1 and not any(given.whole for given in of.values())):
            found += these
        elif len(of) > tx.budget.keys or _on_its_way(tx, rule):
            keys = list(of)
            parts = (keys[at : at + KEYS] for at in range(0, len(keys), KEYS))
            found += [((rule, ""), EachKey({key: of[key] for key in part})) for part in parts]
        else:
            tx.budget.keys -= len(of)
            found += these
    return found


def by_trigger(readings: Sequence[Reading]) -> list[list[Reading]]:
    """Group consecutive readings of the same trigger."""
    return [list(group) for _, group in groupby(readings, _trigger_of)]


def _trigger_of(reading: Reading) -> tuple[str, str]:
    (rule, _), given = reading
    return rule, given.trigger if isinstance(given, Sampled) else ""


def addressed(tx: Transaction, rule: str, given: S) -> list[tuple[str, S | EveryKey]]:
    """Return (key, input) for each live key, or the empty key with `EveryKey` if the keys exceed the budget.

    The same applies while an earlier input of the rule is still being fanned out: a later one must not overtake it.
    """
    if tx.states.keys(rule) > tx.budget.keys or _on_its_way(tx, rule):
        return [("", EveryKey(given))]
    keys = tx.states.live_keys(rule)
    tx.budget.keys -= len(keys)
    return [(key, given) for key in keys]


def _on_its_way(tx: Transaction, rule: str) -> bool:
    staged = any(row["rule"] == rule and row["input"] is not None for row in tx.writes.rows.get("fan_outs", ()))
    return staged or statements.fans_out_inputs(tx.conn, rule)


def stage(tx: Transaction, rule: str, spread: Spread) -> None:
    """Stage a fan-out: it is folded key by key, starting at the end of this transaction."""
    if isinstance(spread, EachKey):
        trigger = next(iter(spread.of.values())).trigger
        stored = {"kind": _EACH, "of": spread.of}
    else:
        trigger = getattr(spread.given, "trigger", "")
        stored = {"kind": type(spread.given).__name__, **asdict(spread.given)}
    tx.writes.add_fan_out(rule, trigger, float(tx.writes.number("seq")), dump(stored))


def input_of(trigger: str, slot: float, text: str | None) -> Input | EachKey | None:
    """Return the input of a row of `fan_outs`: a slot if ``text`` is None; None for an unknown kind.

    Unknown fields, written by a newer release, are ignored.
    """
    if text is None:
        return SlotDue(trigger, slot)
    stored = orjson.loads(text)
    name = stored.pop("kind")
    if name == _EACH:
        return EachKey({key: _sampled(given) for key, given in stored["of"].items()})
    kind = _KINDS.get(name)
    return None if kind is None else _read(kind, stored)


def _read(kind: type[Shared], stored: Mapping[str, Any]) -> Shared:
    return _sampled(stored) if kind is Sampled else kind(**_known(kind, stored))


def _sampled(stored: Mapping[str, Any]) -> Sampled:
    samples = tuple(Sample(**{name: one[name] for name in Sample.__slots__}) for one in stored["samples"])
    return Sampled(**{**_known(Sampled, stored), "samples": samples})


def _known(kind: type[Shared], stored: Mapping[str, Any]) -> dict[str, Any]:
    return {name: stored[name] for name in kind.__slots__ if name in stored}


_EACH = EachKey.__name__
_KINDS: dict[str, type[Shared]] = {kind.__name__: kind for kind in (Sampled, UpstreamEnded, Resumed)}
