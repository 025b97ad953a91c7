"""Checks rules against the workflow templates that they name."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.config.errors import Problem
from retrainer.workflows.base import WorkflowError
from retrainer.workflows.engines import workflow_engine
from retrainer.workflows.local.template import NO_ENTRYPOINT, unsupported
from retrainer.workflows.local.templates import notes as folder_notes
from retrainer.workflows.local.templates import problems as folder_problems
from retrainer.workflows.manifest import check_parameters

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.configuration import Configuration
    from retrainer.config.models import Rule
    from retrainer.config.settings import Settings
    from retrainer.workflows.base import WorkflowEngine


def template_notes(settings: Settings) -> list[str]:
    """Return what is allowed in the templates, but has no effect."""
    return folder_notes(Path(settings.engine.templates)) if settings.engine.type == "local" else []


def template_problems(settings: Settings, configuration: Configuration) -> list[Problem]:
    """Return what the engine lacks or cannot run: access, templates, parameters, fields."""
    try:
        engine = workflow_engine(settings)
        found = [] if settings.engine.type == "local" else [_problem("", what) for what in engine.check()]
    except Exception as error:  # noqa: BLE001 - credentials can fail with many errors, depending on the library
        return [_problem("", f"the cluster cannot be queried: {error}")]
    if settings.engine.type == "local":
        found = [_problem("", what) for what in folder_problems(Path(settings.engine.templates))]
    for rule in configuration.rules:
        where = configuration.positions.get(f"rules.{rule.name}", "")
        found += [_problem(where, f"rule {rule.name}: {what}") for what in _wrong(settings, engine, rule)]
    return found


def _wrong(settings: Settings, engine: WorkflowEngine, rule: Rule) -> Iterator[str]:
    submit = rule.submit
    if submit.workflow is not None:
        if settings.engine.type == "local":
            spec = submit.workflow.get("spec", submit.workflow)
            yield from (f"submit.workflow.{where}: {what}" for where, what in unsupported({"spec": spec}))
            if isinstance(spec, dict) and not spec.keys() & {"entrypoint", "workflowTemplateRef"}:
                yield f"submit.workflow.spec.entrypoint: {NO_ENTRYPOINT}"
        return
    name = submit.workflow_template or submit.cluster_workflow_template or ""
    default = settings.engine.namespaces[0] if settings.engine.type == "argo" else "default"
    namespace = submit.namespace or default
    try:
        template = engine.template(namespace, name, cluster=submit.workflow_template is None)
    except WorkflowError as error:
        yield f"template {name} cannot be read: {error}"
        return
    if template is None:
        yield f"there is no template {name} in namespace {namespace}"
        return
    # The value of an expression is known when a run is created; until then only its name can be checked.
    fixed = {key: str(value) for key, value in submit.parameters.items()}
    choices = {key: options for key, options in template.options.items() if "${" not in fixed.get(key, "")}
    yield from check_parameters(type(template)(template.name, template.parameters, choices), fixed)


def _problem(where: str, message: str) -> Problem:
    file, line, column = where.rsplit(":", 2) if where.count(":") >= 2 else (where, "0", "0")
    return Problem(file, int(line), int(column), "", message)
