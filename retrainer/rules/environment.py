"""The variables of expressions at each place of a rule, with their fields and types."""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.rules.cel.check import ANY, INT, LIST, MAP, MOMENT, TEXT, Type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.config.models import Rule

_EVENT = Type(
    "map",
    {"source": TEXT, "id": TEXT, "type": TEXT, "time": MOMENT, "subject": TEXT, "data": MAP, "attributes": MAP},
)
_UPSTREAM = Type("map", {"id": TEXT, "rule": TEXT, "key": TEXT, "phase": TEXT, "outputs": MAP, "parameters": MAP})
_ENDED = Type("map", {"id": TEXT, "phase": TEXT, "ended_at": ANY, "outputs": MAP, "parameters": MAP})
_RUN: Mapping[str, Type] = {
    "rule": Type("map", {"name": TEXT, "labels": MAP}),
    "key": TEXT,
    "trigger": Type("map", {"name": TEXT, "reason": TEXT, "scheduled_at": ANY, "names": LIST, "values": MAP}),
    "window": Type(
        "map",
        {
            "start": MOMENT,
            "end": MOMENT,
            "events": INT,
            "bytes": INT,
            "rows": INT,
            "first_key": ANY,
            "last_key": ANY,
            "parts": MAP,
        },
    ),
    "events": Type("list", items=_EVENT),
    "run": Type("map", {"id": TEXT, "name": TEXT, "attempt": INT, "namespace": TEXT, "manifest_uri": TEXT}),
    "previous": _ENDED,
    "champion": _ENDED,
    "upstream": _UPSTREAM,
}
EVENT_FIELDS = tuple(_EVENT.fields or ())
EVENT: Mapping[str, Type] = {"event": _EVENT}
"""`where`, `rows`, `distinct_by`, `value` and the keys of `for_each`."""
_OBJECT = dict.fromkeys(("bucket", "key", "etag", "version", "sequencer", "region"), TEXT) | {"size": INT}


def event_of_object(**more: Type) -> Mapping[str, Type]:
    """`EVENT` for a source of objects or files, whose payload has only these fields."""
    return {"event": Type("map", {**(_EVENT.fields or {}), "data": Type("map", {**_OBJECT, **more})})}


UPSTREAM: Mapping[str, Type] = {"upstream": _UPSTREAM}
"""`after: {where: …}`."""
OUTPUTS: Mapping[str, Type] = {"outputs": MAP}
"""`feedback: {promoted: …}` and `cost: {gpu_hours: …}`."""
DELIVERY: Mapping[str, Type] = {"data": ANY, "headers": MAP}
"""`id` of a source."""
TIMED: Mapping[str, Type] = {"data": ANY}
"""`time` of a source."""


def of_parameters(rule: Rule) -> Mapping[str, Type]:
    """The variables that the parameters of a rule can use."""
    missing = absent_from(rule)
    return {name: of for name, of in _RUN.items() if name not in missing}


def absent_from(rule: Rule) -> Mapping[str, str]:
    """The variables of parameters that this rule does not have, and what adds them."""
    missing = {}
    if rule.for_each is None:
        missing["key"] = f"{_keys_of(rule)}remove `${{…}}`"
    if not any(trigger.after for trigger in rule.triggers.values()):
        and_when = " and name it in `when`," if rule.when else ""
        trigger = f"`rebuilt: {{after: {{rule: NAME}}}}`, with the name of the other rule,{and_when}"
        missing["upstream"] = f"add under `triggers:` such as {trigger} or remove `${{…}}`"
    return missing


def _keys_of(rule: Rule) -> str:
    """What to add for a key: each data trigger needs one, else the first trigger that can have one."""
    keyed = {name: one for name, one in rule.triggers.items() if one.data or one.metric or one.alert}
    data = [name for name, one in keyed.items() if one.data]
    names = data or list(keyed)[:1]
    if not names:
        return ""
    one = keyed[names[0]]
    labels = one.alert is not None or (one.metric is not None and one.metric.expr is not None)
    field, which = ("labels.LABEL", f"a label of `{names[0]}`") if labels else ("FIELD", "a field of the payload")
    by = ", ".join(f"{name}: event.data.{field}" for name in names)
    return f"add `for_each: {{by: {{{by}}}}}` to the rule, with {which}, or "
