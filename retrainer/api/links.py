"""PURE: the links of a run or a rule to other pages, from the templates of the settings."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING
from urllib.parse import quote

from retrainer.api.views import View
from retrainer.config.models.links import OF_RULE, placeholders

if TYPE_CHECKING:
    from collections.abc import Mapping

    from retrainer.runs.run import Run

MINUTE = 60.0


class OutwardLink(View):
    name: str
    url: str


def links_of_rule(templates: Mapping[str, str], rule: str, key: str, namespace: str) -> list[dict[str, str]]:
    """Return the links whose templates name nothing of a run."""
    values = {"rule": rule, "key": key, "namespace": namespace}
    return _filled({name: one for name, one in templates.items() if placeholders(one) <= OF_RULE}, values)


def links_of_run(templates: Mapping[str, str], run: Run, now: float) -> list[dict[str, str]]:
    """Return the links of a run. One that needs the Workflow's uid is left out before that exists.

    `from_ms` is when it was created, `to_ms` the end of the minute after its end, or after now while it goes on.
    """
    values = {
        "rule": run.rule,
        "key": run.key,
        "namespace": run.namespace,
        "run": run.id,
        "workflow": run.workflow,
        **({"uid": run.uid} if run.uid is not None else {}),
        "from_ms": str(int(run.created_at * 1000)),
        "to_ms": str(int((math.ceil((run.ended_at or now) / MINUTE) + 1) * MINUTE * 1000)),
    }
    return _filled({name: one for name, one in templates.items() if placeholders(one) <= values.keys()}, values)


def _filled(templates: Mapping[str, str], values: Mapping[str, str]) -> list[dict[str, str]]:
    encoded = {name: quote(value, safe="") for name, value in values.items()}
    return [{"name": name, "url": template.format_map(encoded)} for name, template in templates.items()]
