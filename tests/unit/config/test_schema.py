from collections.abc import Iterator
from typing import Any

import jsonschema
import pytest

from retrainer.config.fields import BOOLEANS, NUMBERS, SAMPLES, SECRETS
from retrainer.config.models import Rules
from retrainer.config.schema import rules_schema, settings_schema
from retrainer.config.settings import Settings


def fields(schema: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(schema, dict):
        yield from schema.get("properties", {}).items()
        for part in schema.values():
            yield from fields(part)


@pytest.mark.parametrize(
    "schema", [pytest.param(rules_schema(), id="rules"), pytest.param(settings_schema(), id="settings")]
)
def test_every_field_is_described(schema: dict[str, Any]) -> None:
    assert [name for name, field in fields(schema) if not field.get("description") and "$ref" not in field] == []


def kinds(part: Any, definitions: Any) -> set[str]:
    """The JSON types that a field accepts."""
    if "$ref" in part:
        return kinds(definitions[part["$ref"].rsplit("/", 1)[1]], definitions)
    ways = part.get("anyOf") or part.get("oneOf") or []
    return set[str]().union(*(kinds(way, definitions) for way in ways)) if ways else {part.get("type", "string")}


def test_the_reader_of_yaml_knows_the_fields_of_numbers_and_of_true_or_false() -> None:
    found: dict[str, set[str]] = {}
    for schema in (Rules.model_json_schema(), Settings.model_json_schema()):
        for name, field in fields(schema):
            found.setdefault(name, set()).update(kinds(field, schema["$defs"]))
    numbers = {"number", "integer"}
    assert {name for name, of in found.items() if of & numbers and "string" not in of} == NUMBERS
    assert {name for name, of in found.items() if "boolean" in of} == BOOLEANS


def test_the_reader_of_yaml_knows_the_fields_of_secrets() -> None:
    schemas = (Rules.model_json_schema(), Settings.model_json_schema())
    assert {name for schema in schemas for name, field in fields(schema) if "/FromEnv'" in str(field)} == SECRETS


def needed(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        yield from schema.get("required", ()) if isinstance(schema.get("required"), list) else ()
        for part in schema.values():
            yield from needed(part)


def test_each_field_that_is_needed_has_a_sample_for_messages() -> None:
    names = {*needed(Rules.model_json_schema()), *needed(Settings.model_json_schema())}
    assert names - {"type"} == SAMPLES.keys()


def test_the_sections_and_both_forms_of_a_rule_are_there() -> None:
    schema = rules_schema()
    assert set(schema["properties"]) == {
        "version",
        "sources",
        "calendars",
        "pools",
        "budgets",
        "defaults",
        "templates",
        "rules",
    }
    assert schema["additionalProperties"] is False
    templated = schema["$defs"]["TemplatedRule"]
    assert {"name", "template", "with", "labels", "submit"} <= templated["properties"].keys()
    assert templated["required"] == ["name", "template"]


@pytest.mark.parametrize(
    "schema", [pytest.param(rules_schema(), id="rules"), pytest.param(settings_schema(), id="settings")]
)
def test_every_default_is_valid_as_it_would_be_written(schema: dict[str, Any]) -> None:
    for name, field in fields(schema):
        if field.get("default") is not None:
            jsonschema.validate({name: field["default"]}, {"properties": {name: field}, "$defs": schema["$defs"]})
