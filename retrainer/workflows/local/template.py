"""PURE: the subset of Argo's WorkflowTemplate that the local engine runs, and the errors for everything else."""

from __future__ import annotations

from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any

from retrainer.workflows.local.fields import SPEC
from retrainer.workflows.local.graph_check import MOST_TOLD, Neighbours, check_dag, check_hooks, check_steps
from retrainer.workflows.local.known_tags import Tags, expression_problems, some, unknown_tags
from retrainer.workflows.local.library import reference_key, with_defaults
from retrainer.workflows.local.pod_check import check_files, check_volumes, known_volumes
from retrainer.workflows.local.retry import POLICIES, seconds
from retrainer.workflows.local.sections import KINDS, POD_KINDS, artifacts, inputs, kind, parameters, uses_of
from retrainer.workflows.local.shapes import Problem, misshapen, noted
from retrainer.workflows.local.tags import tags
from retrainer.workflows.local.workflow_values import WORKFLOW_TAGS, pod_tags

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.workflows.local.graph_check import Find

    Template = Mapping[str, Any]

NO_ENTRYPOINT = "is needed: it names the template that a run begins with"
_MARKED = ("workflow.labels.", "workflow.annotations.")


def unsupported(manifest: Mapping[str, Any], find: Find | None = None) -> list[Problem]:
    """Return what the local engine cannot run in a WorkflowTemplate or Workflow: (path of the field, remedy).

    ``find`` returns the spec that a `templateRef` means; without it, references are not checked. At most `MOST_TOLD`
    problems.
    """
    spec = _with_defaults(manifest.get("spec"))
    problems = list(islice(misshapen(spec, SPEC, "spec"), MOST_TOLD))
    return problems or list(islice(_meaning(spec, find and _of_the_right_form(find)), MOST_TOLD))


def _of_the_right_form(find: Find) -> Find:
    """Return a function that finds each spec once, and none that has not the form of one."""
    known: dict[str, Mapping[str, Any] | None] = {}

    def found(reference: Mapping[str, Any]) -> Mapping[str, Any] | None:
        key = reference_key(reference)
        if key not in known:
            spec = _with_defaults(find(reference))
            known[key] = None if next(misshapen(spec, SPEC, "spec"), None) else spec
        return known[key]

    return found


def _with_defaults(spec: Any) -> Any:
    """Return a spec whose templates have the fields of its `templateDefaults`, as far as it has the form of one."""
    defaults = spec.get("templateDefaults") if isinstance(spec, dict) else None
    if not isinstance(defaults, dict) or not isinstance(spec.get("templates"), list):
        return spec
    templates = [with_defaults(one, defaults) if isinstance(one, dict) else one for one in spec["templates"]]
    return {**spec, "templates": templates}


NO_EFFECT = "has no effect on this machine"


def unused(manifest: Mapping[str, Any]) -> list[str]:
    """Return the paths of the fields that have no effect here, of a manifest that the local engine can run."""
    return list(noted(manifest.get("spec"), SPEC, "spec"))


def _meaning(spec: Mapping[str, Any], find: Find | None) -> Iterator[Problem]:
    named = {template["name"]: template for template in spec["templates"]}
    if not named:
        yield "spec.templates", "is empty"
    if len(named) < len(spec["templates"]):
        yield "spec.templates", "two templates have the same name"
        return
    if "entrypoint" in spec and spec["entrypoint"] not in named:
        yield "spec.entrypoint", f"there is no template {spec['entrypoint']!r}; there are {some(sorted(named))}"
    yield from _bad_values(spec.get("arguments") or {}, Tags(), "spec.arguments")
    known = _workflow_tags(spec)
    volumes = known_volumes(spec)
    near = Neighbours(named, find, partial(_inline, volumes), volumes)
    yield from check_volumes(spec, "spec")
    yield from check_hooks(spec, near, known, "spec")
    for index, template in enumerate(spec["templates"]):
        yield from _template(template, near, known, f"spec.templates[{index}]")


def _workflow_tags(spec: Mapping[str, Any]) -> Tags:
    exact = WORKFLOW_TAGS.union(f"workflow.parameters.{name}" for name in inputs(spec.get("arguments") or {}))
    for template in spec["templates"]:
        for what, items in (
            ("parameters", parameters(template, "outputs")),
            ("artifacts", artifacts(template, "outputs")),
        ):
            exact |= {f"workflow.outputs.{what}.{item['globalName']}" for item in items if item.get("globalName")}
    # What only whoever uses these templates knows shows when a run uses it.
    others = ("workflow.parameters.",) if "entrypoint" not in spec else ()
    refers = any("templateRef" in use for template in spec["templates"] for use in uses_of(template))
    return Tags(exact, (*_MARKED, *others, *(("workflow.outputs.",) if refers or others else ())))


def _template(template: Template, near: Neighbours, known: Tags, path: str) -> Iterator[Problem]:
    kinds = [name for name in KINDS if name in template]
    if len(kinds) != 1:
        yield path, f"must have exactly one of {', '.join(KINDS)}"
        return
    yield from _bad_values(template.get("inputs") or {}, known, f"{path}.inputs")
    known = _with_inputs(template, known)
    yield from _bounds(template, known, path)
    if kinds == ["dag"]:
        yield from check_dag(template, near, known, path)
    elif kinds == ["steps"]:
        yield from check_steps(template, near, known, path)
    elif kinds == ["suspend"]:
        yield from _suspend(template, known, path)
    else:
        yield from _pod(template, near.volumes, known, path)


def _inline(volumes: frozenset[str] | None, template: Template, known: Tags, path: str) -> Iterator[Problem]:
    """Check a template within a step, which may also use the tags of the step."""
    if len([name for name in POD_KINDS if name in template]) != 1:
        yield path, f"must have exactly one of {', '.join(POD_KINDS)}"
        return
    yield from _bounds(template, known, path)
    yield from _pod(template, volumes, _with_inputs(template, known), path)


def _with_inputs(template: Template, known: Tags) -> Tags:
    names = [f"inputs.parameters.{name}" for name in inputs(template.get("inputs") or {})]
    names += [f"inputs.artifacts.{item['name']}" for item in artifacts(template, "inputs")]
    return known.plus(*names, *(("retries",) if template.get("retryStrategy") is not None else ()))


def _pod(template: Template, volumes: frozenset[str] | None, known: Tags, path: str) -> Iterator[Problem]:
    what, known = kind(template), known.plus(*pod_tags(template))
    yield from unknown_tags(template[what], known, f"{path}.{what}")
    if not template[what]["command"]:
        yield f"{path}.{what}.command", "is empty"
    for index, output in enumerate(parameters(template, "outputs")):
        yield from unknown_tags(output["valueFrom"], known, f"{path}.outputs.parameters[{index}].valueFrom")
    for section in ("inputs", "outputs"):
        yield from unknown_tags(artifacts(template, section), known, f"{path}.{section}.artifacts")
    yield from check_files(template, volumes, path)


def _suspend(template: Template, known: Tags, path: str) -> Iterator[Problem]:
    if "duration" not in template["suspend"]:
        yield f"{path}.suspend.duration", "is needed: nobody can resume a run of the local engine; write 20s"
        return
    yield from _duration(template["suspend"]["duration"], known, f"{path}.suspend.duration")


def _bounds(template: Template, known: Tags, path: str) -> Iterator[Problem]:
    """Check deadlines, retries and parallelism."""
    for name in ("activeDeadlineSeconds", "timeout"):
        if name in template and kind(template) not in POD_KINDS:
            yield f"{path}.{name}", "only a container or a script may have it, as in Argo"
        elif name in template:
            yield from _duration(template[name], known, f"{path}.{name}")
    if template.get("parallelism", 1) < 1:
        yield f"{path}.parallelism", "must be 1 or more"
    strategy = template.get("retryStrategy")
    if strategy:
        yield from _retry(strategy, known, f"{path}.retryStrategy")


def _retry(strategy: Mapping[str, Any], known: Tags, path: str) -> Iterator[Problem]:
    if strategy.get("retryPolicy", "Always") not in POLICIES:
        yield f"{path}.retryPolicy", f"must be one of {', '.join(POLICIES)}"
    limit = strategy.get("limit", 1)
    yield from unknown_tags(limit, known, f"{path}.limit")
    if not tags(limit) and not str(limit).isdigit():
        yield f"{path}.limit", "must be a whole number"
    for name, value in (strategy.get("backoff") or {}).items():
        yield from _duration(value, known, f"{path}.backoff.{name}")
    if "expression" in strategy:
        inner = known.plus("retries", prefixes=("lastRetry.",))
        yield from expression_problems(strategy["expression"], inner, f"{path}.expression")


def _duration(value: object, known: Tags, path: str) -> Iterator[Problem]:
    yield from unknown_tags(value, known, path)
    try:
        if not tags(value):
            seconds(str(value))
    except ValueError as error:
        yield path, str(error)


def _bad_values(section: Mapping[str, Any], known: Tags, path: str) -> Iterator[Problem]:
    """Check values and defaults, which may not use `inputs.parameters`; those of the workflow may use no tag."""
    for index, item in enumerate(section.get("parameters") or ()):
        for name in ("value", "default"):
            yield from unknown_tags(item.get(name), known, f"{path}.parameters[{index}].{name}")
