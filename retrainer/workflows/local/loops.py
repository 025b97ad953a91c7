"""PURE: the items of `withItems`, `withParam` and `withSequence`, and what their nodes leave together."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.expression_functions import to_json
from retrainer.workflows.local.log import printable
from retrainer.workflows.local.node import Ended, Outputs
from retrainer.workflows.local.tags import scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from retrainer.workflows.local.scope import Scope

KINDS = ("withItems", "withParam", "withSequence")
MOST_ITEMS = 1000
_FORMAT = re.compile(r"([^%]|%%)*%[-+0# ]*\d{0,3}[dxXo]([^%]|%%)*")
_SHOWN = 40
"""Characters of an item that the name of its node shows."""


def items(step: Mapping[str, Any], scope: Scope) -> list[Any] | None:
    """Return the items of a step or task; None if it is no loop. Raise ValueError."""
    if step.get("withItems") is not None:
        found = [_filled(item, scope) for item in step["withItems"]]
    elif step.get("withParam") is not None:
        found = _listed(scope.text(step["withParam"]))
    elif step.get("withSequence") is not None:
        found = _sequence(step["withSequence"], scope)
    else:
        return None
    if len(found) > MOST_ITEMS:
        raise ValueError(f"the loop has {len(found)} items; the local engine takes at most {MOST_ITEMS}")
    return found


def _filled(item: Any, scope: Scope) -> Any:
    if isinstance(item, str):
        return scope.text(item)
    if isinstance(item, dict):
        return {key: _filled(value, scope) for key, value in item.items()}
    return [_filled(value, scope) for value in item] if isinstance(item, list) else item


def _listed(text: str) -> list[Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise ValueError(f"withParam must be a JSON list, and is {text.strip()[:100]!r}")  # noqa: TRY004 - about a value
    return found


def _sequence(sequence: Mapping[str, Any], scope: Scope) -> list[str]:
    start = int(scope.text(sequence.get("start", 0)))
    if sequence.get("end") is not None:
        end = int(scope.text(sequence["end"]))
    else:
        count = int(scope.text(sequence["count"]))
        if count <= 0:
            return []
        end = start + count - 1
    if abs(end - start) >= MOST_ITEMS:
        raise ValueError(f"the loop has {abs(end - start) + 1} items; the local engine takes at most {MOST_ITEMS}")
    step = 1 if start <= end else -1
    pattern = scope.text(sequence.get("format") or "%d")
    if not _FORMAT.fullmatch(pattern):
        raise ValueError(f"withSequence.format must be a format of one number such as %02d, and is {pattern!r}")
    return [pattern % number for number in range(start, end + step, step)]


def item_values(item: Any) -> dict[str, str]:
    """Return the values of `{{item}}` and `{{item.x}}`."""
    values = {"item": _text(item)}
    if isinstance(item, dict):
        values |= {f"item.{key}": _text(value) for key, value in item.items()}
    return values


def item_name(name: str, index: int, item: Any) -> str:
    """Return the name of an item's node in Argo's form, such as `train(0:lr:0.1)`."""
    shown = ",".join(sorted(f"{key}:{_text(value)}" for key, value in item.items())) if isinstance(item, dict) else None
    text = re.sub(r"[()/\s]+", " ", _text(item) if shown is None else shown).strip()
    return f"{name}({index}:{printable(text[:_SHOWN])})"


def _text(value: Any) -> str:
    return "null" if value is None else to_json(value) if isinstance(value, dict | list) else scalar(value)


def together(nodes: Sequence[Ended]) -> Ended:
    """Return how a loop ended. Its outputs are JSON lists of those of the items that succeeded."""
    failed = next((node for node in nodes if node.failed), None)
    good = [node.outputs for node in nodes if node.phase == "Succeeded"]
    names = dict.fromkeys(name for one in good for name in one.parameters)
    results = [_json(one.result) for one in good if one.result is not None]
    outputs = Outputs(
        parameters={name: _joined([one.parameters[name] for one in good if name in one.parameters]) for name in names},
        listed=to_json([dict(one.parameters) for one in good if one.parameters]),
        result=to_json(results),
    )
    phase, message = (failed.phase, failed.message) if failed else ("Succeeded", "")
    return Ended(phase, message, outputs, tuple(nodes))


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def _joined(texts: list[str]) -> str:
    """Return a JSON list of texts; of what they contain if each one is a map or a list."""
    values = [_json(text) for text in texts]
    return to_json(values if all(isinstance(value, dict | list) for value in values) else texts)
