"""What openapi.json promises about itself. tests/api checks a running daemon against it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.api.app import openapi

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMITTED = Path(__file__).parents[3] / "docs/reference/openapi.json"
SPEC = openapi()
OPERATIONS: dict[str, dict[str, Any]] = {
    f"{method.upper()} {path}": operation
    for path, methods in SPEC["paths"].items()
    for method, operation in methods.items()
}
FREE = {
    "Event.data": "of the sender",
    "Event.attributes": "of the sender",
    "FoundEvent.data": "as Event",
    "FoundEvent.attributes": "as Event",
    "Input.data": "as Event",
    "Input.attributes": "as Event",
    "ManifestInput.data": "as Event",
    "ExplainRequest.event": "as Event, in full or only its data",
    "Condition.expected": "a value of any type, of the rule",
    "RuleDetail.configuration": "in the rule language, which has a JSON Schema of its own",
    "SourceDetail.configuration": "as that of rules",
    "RunDetail.submit": "as that of rules",
    "Run.outputs": "of the Workflow",
    "RunDetail.outputs": "as Run",
    "Triggered.manifest": "a Workflow of Argo",
}
"""Fields without a model, with who decides what they contain."""


def test_the_committed_description_is_what_is_served() -> None:
    assert json.loads(COMMITTED.read_text()) == SPEC, "make reference"


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_described(name: str) -> None:
    operation = OPERATIONS[name]
    assert operation["description"]
    assert operation["tags"][0] in {tag["name"] for tag in SPEC["tags"]}
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"])
    for status, response in operation["responses"].items():
        assert status.isdigit(), "each status by itself"
        problem = (
            status.startswith("4")
            or status == "507"
            or (status == "503" and not name.endswith(("/healthz", "/readyz")))
        )
        assert (list(response.get("content", {})) == ["application/problem+json"]) is problem, (status, response)


@pytest.mark.parametrize("name", [name for name in OPERATIONS if " /api/" in name or " /-/" in name])
def test_what_the_guard_answers_is_listed(name: str) -> None:
    statuses = set(OPERATIONS[name]["responses"])
    assert {"401", "403", "421", "503"} <= statuses
    if not name.startswith("GET"):
        assert {"400", "408", "413", "415"} <= statuses
    if "parameters" in OPERATIONS[name] or "requestBody" in OPERATIONS[name]:
        assert "422" in statuses


def test_ids_of_operations_are_unique() -> None:
    ids = [operation["operationId"] for operation in OPERATIONS.values()]
    assert len(set(ids)) == len(ids)


def test_what_has_no_model_is_known() -> None:
    assert set(_free()) == set(FREE)


def _free() -> Iterator[str]:
    """The fields of models that may contain anything."""
    for model, schema in SPEC["components"]["schemas"].items():
        for name, field in schema.get("properties", {}).items():
            kinds = [field, *field.get("anyOf", ()), field.get("items", {})]
            known = {"type", "$ref", "anyOf", "enum", "const"}
            if any(kind.get("additionalProperties") is True for kind in kinds) or not known & set(field):
                yield f"{model}.{name}"
