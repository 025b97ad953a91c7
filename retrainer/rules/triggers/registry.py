"""The kinds of triggers. The fields of the model `Trigger` list them; the module of the same name has the `KIND`."""

from __future__ import annotations

from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from retrainer.config.models import Trigger

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.rules.triggers.kind import TriggerKind

KINDS: Mapping[str, TriggerKind] = {
    name: resolve_name(f"retrainer.rules.triggers.{name}:KIND") for name in Trigger.model_fields
}


def kinds_of(trigger: Trigger) -> Iterator[tuple[str, TriggerKind, Any]]:
    """The kind of a trigger: its name, the kind, and its model. A valid trigger has exactly one."""
    for name, kind in KINDS.items():
        model = getattr(trigger, name)
        if model is not None:
            yield name, kind, model
