"""The parts of a rule that its stored state depends on. When one of them changes, the state is dropped."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import sha256
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.rules.triggers.registry import kinds_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.config.models import Rule, Trigger


@dataclass(frozen=True, slots=True)
class Dropped:
    """The state of a trigger was dropped, and why."""

    rule: str
    trigger: str
    why: str


def meanings(rule: Rule) -> dict[str, str]:
    """A digest for each trigger that stores state."""
    found = {name: _parts(rule, name, trigger) for name, trigger in rule.triggers.items()}
    return {name: _digest(parts) for name, parts in found.items() if parts is not None}


def dropped(rule: str, before: Mapping[str, str], after: Mapping[str, str]) -> list[Dropped]:
    """Triggers whose digest has changed or that are gone, in their order."""
    changed = [name for name, digest in before.items() if after.get(name) != digest]
    return [
        Dropped(rule, n, "its definition has changed" if n in after else "the trigger was removed") for n in changed
    ]


def _parts(rule: Rule, name: str, trigger: Trigger) -> list[Any] | None:
    for name_of_kind, kind, model in kinds_of(trigger):
        if kind.state_fields:
            values = model.model_dump(mode="json")
            key = rule.for_each.by.get(name) if rule.for_each is not None else None
            return [name_of_kind, *(values[field] for field in kind.state_fields), rule.for_each is not None, key]
    return None


def _digest(parts: list[Any]) -> str:
    return sha256(orjson.dumps(parts, option=orjson.OPT_SORT_KEYS)).hexdigest()[:8]
