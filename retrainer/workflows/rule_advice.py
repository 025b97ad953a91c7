"""Warnings about what a rule passes to its workflow template, and about the manifest in it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.rules.lint import Advice
from retrainer.workflows.injection_lint import pasted
from retrainer.workflows.local import templates

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retrainer.config.models import Rule


def advice_on_workflow(rule: Rule, folder: Path | None) -> Iterator[Advice]:
    """Yield warnings. ``folder`` has the workflow templates; None if they are not on this machine."""
    yield from _pasted(rule, folder)
    yield from _named(rule)


def _pasted(rule: Rule, folder: Path | None) -> Iterator[Advice]:
    """Report changing values only: constant ones were chosen by the author of the rule."""
    changing = {n for n, value in rule.submit.parameters.items() if isinstance(value, str) and "${" in value}
    for parameter, where in pasted(_manifest(rule, folder) or {}):
        if parameter in changing:
            yield Advice(
                rule.name,
                f"submit.parameters.{parameter}",
                f"its value is inserted into code, at {where}: anyone who controls it can run commands",
                "pass it as an environment variable, or as a separate argument",
            )


def _named(rule: Rule) -> Iterator[Advice]:
    """Report names in inline manifests, which examples often have: they are not used."""
    for name in ("name", "generateName"):
        if name in ((rule.submit.workflow or {}).get("metadata") or {}):
            yield Advice(
                rule.name,
                f"submit.workflow.metadata.{name}",
                "it is not used: the Workflow is named after the rule and the run, so that each run has exactly one",
                "remove it",
            )


def _manifest(rule: Rule, folder: Path | None) -> dict[str, Any] | None:
    """Return the template of a rule, if it is available locally."""
    submit = rule.submit
    name = submit.workflow_template or submit.cluster_workflow_template
    if name is None:
        return submit.workflow
    if folder is None:
        return None
    cluster = submit.workflow_template is None
    return templates.find(folder, name, submit.namespace or "default", cluster=cluster)
