"""Checks of rules that the models cannot express. Each check is a function that yields violations."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from retrainer.config.check_expressions import (
    BOOLEAN,
    NAME,
    NUMBER,
    check_cel,
    check_fields,
    check_match,
    check_parameter,
)
from retrainer.config.check_inline import check_inline, check_key
from retrainer.config.check_levels import check_levels
from retrainer.config.check_limits import check_limits
from retrainer.config.check_when import check_when
from retrainer.config.errors import did_you_mean
from retrainer.config.models import DirectorySource, S3Source, Submit
from retrainer.config.models.base import written_duration
from retrainer.config.reserved import MANAGED_BY
from retrainer.config.violation import Violation, check_read, exactly_one, known, not_one
from retrainer.rules.cel.check import INT, TEXT
from retrainer.rules.crontab import parse
from retrainer.rules.environment import EVENT, absent_from, event_of_object, of_parameters
from retrainer.rules.zones import zone_of
from retrainer.util.values import shown

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from retrainer.config.models import Batch, Data, Rule, Schedule, Source, Trigger
    from retrainer.config.tree import Path
    from retrainer.config.violation import Names
    from retrainer.rules.cel.check import Type

_TARGETS = ("workflow_template", "cluster_workflow_template", "workflow")
_TEMPLATE = (
    "write `workflow_template: NAME`, `cluster_workflow_template: NAME`, or `workflow: {spec: {entrypoint: NAME}}` "
    "with the rest of the manifest"
)
_SIZES = "write such as {events: 20}, {bytes: 5GiB} or {rows: 100}"
_LABEL_KEY = re.compile(r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
_OBJECT = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_OBJECT_HINT = "lower-case letters, digits, - and ., as in Kubernetes"
_NAMESPACE = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_NAMESPACE_HINT = "lower-case letters, digits and -, at most 63"
_ARGUMENT = re.compile(r"[A-Za-z0-9_-]+")
"""Name of a parameter that Argo accepts."""
_ANNOTATIONS = 200 * 1024
"""Maximum bytes of the names and values of all annotations."""
_IN_LABELS = "letters, digits, - _ and ., at most 63"
_NOT_IN_LABELS = re.compile(r"[^A-Za-z0-9_.]+")
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")


def check_rule(rule: Rule, names: Names) -> Iterator[Violation]:
    """All violations of a rule, in the order of its fields."""
    yield from _labels(("labels",), rule.labels)
    for name, trigger in rule.triggers.items():
        yield from _trigger(("triggers", name), trigger, names)
    yield from check_when(rule)
    yield from _for_each(rule, names)
    yield from check_limits(rule, names)
    yield from _submit(rule, names)


def follows(finding: Violation, cut: Sequence[Path]) -> bool:
    """Whether a violation only exists because the parts at ``cut`` were removed before the check."""
    path = finding.path
    if path[:2] == ("for_each", "by") and finding.offset is None and any(gone[0] == "triggers" for gone in cut):
        return True
    if path == ("feedback", "backoff") and ("cooldown",) in cut:  # written beside `limits`, not in it
        return True
    if path == ("submit",):
        return any(gone[0] == "submit" and _may_be_target(gone) for gone in cut)
    if path[:1] == ("triggers",) and ("triggers",) in cut:
        return True
    return any(gone[: len(path)] == path or path[: len(gone)] == gone for gone in cut)


def _may_be_target(gone: Path) -> bool:
    return len(gone) == 1 or gone[1] in _TARGETS or gone[1] not in Submit.model_fields


def _trigger(path: Path, trigger: Trigger, names: Names) -> Iterator[Violation]:
    kinds, others = sorted(trigger.model_fields_set), list(type(trigger).model_fields)[1:]
    if len(kinds) != 1:
        yield Violation(
            path,
            f"a trigger has exactly one kind, {not_one(kinds)}",
            "write a separate trigger for each"
            if kinds
            else f'write such as `{path[-1]}: {{schedule: "@daily"}}`, or {", ".join(others[:-1])} or {others[-1]}',
        )
    for kind in kinds:
        source = getattr(getattr(trigger, kind), "source", None)
        if source is not None:
            yield from known((*path, kind, "source"), "source", source, names.sources)
    if trigger.schedule:
        yield from _schedule((*path, "schedule"), trigger.schedule, names)
    if trigger.data:
        yield from _data((*path, "data"), trigger.data, names)
    yield from check_levels(path, trigger, names)


def _schedule(path: Path, schedule: Schedule, names: Names) -> Iterator[Violation]:
    yield from check_read((*path, "cron"), parse, schedule.cron)
    yield from check_read((*path, "timezone"), zone_of, schedule.timezone)
    for i, name in enumerate(schedule.except_):
        yield from known((*path, "except", i), "calendar", name, names.calendars)


def _data(path: Path, data: Data, names: Names) -> Iterator[Violation]:
    yield from check_fields((*path, "match"), data.match)
    yield from check_match((*path, "match"), data.match)
    if not isinstance(data.ignore_own_outputs, bool):
        yield from check_match((*path, "ignore_own_outputs"), data.ignore_own_outputs)
        yield from check_fields((*path, "ignore_own_outputs"), data.ignore_own_outputs)
    source = names.sources.get(data.source)
    scope = _scope(source)
    for name, gives in (("where", BOOLEAN), ("rows", NUMBER), ("distinct_by", NAME)):
        found = check_cel((*path, name), getattr(data, name), scope, gives)
        yield from (_of_rows(one, source) for one in found) if name == "rows" else found
    yield from _batch((*path, "batch"), data)
    if isinstance(source, DirectorySource):
        yield from _polled((*path, "batch"), data.batch, source)


def _of_rows(violation: Violation, source: Source | None) -> Violation:
    """A violation of `rows:`, with the way out if the source does not count rows."""
    if "has no `rows`" not in violation.message:
        return violation
    lines = "add `rows: lines` to the source, or " if isinstance(source, DirectorySource) else ""
    return violation._replace(hint=f"{lines}remove `rows:` and count `events` or `bytes`")


def _scope(source: Source | None) -> Mapping[str, Type]:
    """The variables of expressions over the events of a source."""
    if isinstance(source, DirectorySource):
        return event_of_object(path=TEXT, **({"rows": INT} if source.rows else {}))
    return event_of_object() if isinstance(source, S3Source) else EVENT


def _batch(path: Path, data: Data) -> Iterator[Violation]:
    batch = data.batch
    if batch.at_least and not (batch.at_least.events or batch.at_least.bytes or batch.at_least.rows):
        yield Violation((*path, "at_least"), "no size is given", _SIZES)
    if batch.at_least and batch.at_least.rows and not data.rows:
        yield Violation(
            (*path, "at_least", "rows"),
            "the field with the number of rows is not given",
            "add `rows: event.data.rows` under `data:`, beside `batch`",
        )
    longest = written_duration(batch.max_wait or 0)
    if batch.debounce and batch.max_wait and batch.debounce > batch.max_wait:
        yield Violation(
            (*path, "debounce"),
            f"{written_duration(batch.debounce)} is longer than `max_wait: {longest}`, so it would have no effect",
            f"write less than {longest}",
        )


def _polled(path: Path, batch: Batch, source: DirectorySource) -> Iterator[Violation]:
    for name in ("debounce", "max_wait"):
        window = getattr(batch, name)
        if window is not None and window < source.polling_interval:
            yield Violation(
                (*path, name),
                f"shorter than its source's polling_interval of {source.polling_interval:g}s, so it cannot be met",
                f"write at least {source.polling_interval:g}s, or poll more often",
            )


def _for_each(rule: Rule, names: Names) -> Iterator[Violation]:
    if rule.for_each is None:
        return
    keyed = [name for name, t in rule.triggers.items() if t.data or t.metric or t.alert]
    data = [name for name in keyed if rule.triggers[name].data]
    for name, text in rule.for_each.by.items():
        path = ("for_each", "by", name)
        if name not in rule.triggers:
            yield Violation(path, f"there is no trigger `{name}`", did_you_mean(name, keyed), of_key=True)
        elif name not in keyed:
            yield Violation(
                path,
                f"`{name}` is not a data, metric or alert trigger: it applies to every key",
                f"remove `{name}: {text}`",
                of_key=True,
            )
        trigger = rule.triggers.get(name)
        source = names.sources.get(trigger.data.source) if trigger and trigger.data else None
        yield from check_cel(path, text, _scope(source), NAME)
    misspelt = rule.for_each.by.keys() - rule.triggers.keys()
    for name in data:
        if name not in rule.for_each.by and not misspelt:
            yield Violation(("for_each", "by"), f"the data trigger `{name}` has no key", _key_of(name, rule, names))


def _key_of(name: str, rule: Rule, names: Names) -> str:
    """What to add for a trigger without a key: a field that its events have, as far as the source tells."""
    data = rule.triggers[name].data
    fields = _scope(names.sources.get(data.source) if data else None)["event"].fields or {}
    known = list(fields["data"].fields or ())
    if not known:
        return f"add `{name}: event.data.FIELD`, with the field of the payload that holds the key"
    return f"add `{name}: event.data.{known[0]}`; fields of this source: {', '.join(known)}"


def _submit(rule: Rule, names: Names) -> Iterator[Violation]:
    submit, scope, absent = rule.submit, of_parameters(rule), absent_from(rule)
    yield from exactly_one(("submit",), submit, _TARGETS, missing=_TEMPLATE)
    yield from _named(submit, names)
    if submit.workflow is not None:
        yield from check_inline(submit.workflow)
    for name, value in submit.parameters.items():
        yield from check_parameter(("submit", "parameters", name), value, scope, absent)
    yield from _labels(("submit", "metadata", "labels"), submit.metadata.labels)
    yield from _annotations(("submit", "metadata", "annotations"), submit.metadata.annotations)


def _named(submit: Submit, names: Names) -> Iterator[Violation]:
    """Check names that Kubernetes or Argo would reject only at submission."""
    for field in _TARGETS[:2]:
        name = getattr(submit, field)
        if name is not None and not _OBJECT.fullmatch(name):
            meant = re.sub(r"[^a-z0-9.]+", "-", name.lower()).strip("-.")
            hint = f"{_OBJECT_HINT}: did you mean `{meant}`?" if _OBJECT.fullmatch(meant) else _OBJECT_HINT
            yield Violation(("submit", field), f"{shown(name)} is not a valid template name", hint)
    if submit.namespace is not None and not _NAMESPACE.fullmatch(submit.namespace):
        yield Violation(("submit", "namespace"), f"{shown(submit.namespace)} is not a valid namespace", _NAMESPACE_HINT)
    elif submit.namespace is not None and names.namespaces is not None and submit.namespace not in names.namespaces:
        hint = did_you_mean(submit.namespace, names.namespaces)
        yield Violation(("submit", "namespace"), f"`{submit.namespace}` is not among the engine's namespaces", hint)
    for name in submit.parameters:
        if not _ARGUMENT.fullmatch(name):
            yield Violation(
                ("submit", "parameters", name),
                f"{shown(name)} is not a valid parameter name",
                "letters, digits, - and _",
                of_key=True,
            )


def _annotations(path: Path, annotations: Mapping[str, str]) -> Iterator[Violation]:
    for key in annotations:
        yield from check_key((*path, key), key)
    if sum(len(text.encode()) for one in annotations.items() for text in one) > _ANNOTATIONS:
        yield Violation(
            path,
            f"more than {_ANNOTATIONS >> 10} KiB together; Kubernetes allows 256 KiB, including those of retrainer",
            "pass a reference to long values as a parameter",
        )


def _labels(path: Path, labels: Mapping[str, str]) -> Iterator[Violation]:
    for key, value in labels.items():
        if path != ("labels",) or key != MANAGED_BY:  # labels of the rule are for alerts, not for Workflows
            yield from check_key((*path, key), key)
        if not _LABEL_KEY.fullmatch(key):
            yield Violation(
                (*path, key),
                f"`{key}` is not a valid label name",
                _IN_LABELS,
                of_key=True,
            )
        if not _LABEL_VALUE.fullmatch(value):
            yield Violation(
                (*path, key),
                f"{value!r} is not a valid label value",
                f"write such as `{_NOT_IN_LABELS.sub('-', value).strip('-_.')[:63] or 'a'}`: {_IN_LABELS}",
            )
