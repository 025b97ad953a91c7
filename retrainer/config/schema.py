"""JSON Schemas for editors, generated from the models with the descriptions of all fields."""

from __future__ import annotations

from typing import Any

from retrainer.config.models import Rules
from retrainer.config.settings import Settings

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_ANY = {"description": "A value, or a text with `${{ name }}` holes."}


def rules_schema() -> dict[str, Any]:
    """Return the schema of a rule file, including `defaults`, `templates` and rules that use a template."""
    schema = Rules.model_json_schema()
    definitions = schema["$defs"]
    rule = definitions["Rule"]
    definitions["PartialRule"] = _partial(rule)
    definitions["TemplatedRule"] = _templated(rule)
    definitions["Template"] = _template(rule)
    definitions["Rule"] = {**rule, "required": ["name"]}  # other fields can come from the defaults
    schema["properties"]["defaults"] = {
        "$ref": "#/$defs/PartialRule",
        "description": "Merged beneath every rule of this file; fields of the rule or of its template take precedence.",
    }
    schema["properties"]["templates"] = {
        "type": "object",
        "additionalProperties": {"$ref": "#/$defs/Template"},
        "description": "Bodies of rules with `${{ name }}` holes, for the rules of all files.",
    }
    # A map with `template` is validated as such, so that an editor shows the errors of one variant only.
    schema["properties"]["rules"]["items"] = {
        "if": {"required": ["template"]},
        "then": {"$ref": "#/$defs/TemplatedRule"},
        "else": {"$ref": "#/$defs/Rule"},
    }
    return {"$schema": _DIALECT, **schema, "title": "retrainer rules", "description": "Rules of retrainer, version 1."}


def settings_schema() -> dict[str, Any]:
    """Return the schema of the daemon's settings, `retrainer.yaml`."""
    schema = Settings.model_json_schema()
    return {"$schema": _DIALECT, **schema, "title": "retrainer settings", "description": "The daemon's own settings."}


def _partial(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule in which every field is optional, also in nested maps, and `name` is not allowed."""
    properties = {name: _loose(field) for name, field in rule["properties"].items() if name != "name"}
    return {"type": "object", "additionalProperties": False, "properties": properties, "title": "PartialRule"}


def _loose(field: dict[str, Any]) -> dict[str, Any]:
    references = "$ref" in field or any("$ref" in branch for branch in field.get("anyOf", ()))
    return {"type": "object", "description": field.get("description", "")} if references else field


def _templated(rule: dict[str, Any]) -> dict[str, Any]:
    own = {
        "template": {"type": "string", "description": "Name of the template that the rule is made of."},
        "with": {"type": "object", "description": "A value for each of the template's parameters."},
    }
    partial = _partial(rule)
    properties = {"name": rule["properties"]["name"], **own, **partial["properties"]}
    return {**partial, "properties": properties, "required": ["name", "template"], "title": "TemplatedRule"}


def _template(rule: dict[str, Any]) -> dict[str, Any]:
    body = {name: {**_ANY, "description": field.get("description", "")} for name, field in rule["properties"].items()}
    return {
        "type": "object",
        "title": "Template",
        "additionalProperties": False,
        "required": ["rule"],
        "properties": {
            "parameters": {"type": "array", "items": {"type": "string"}, "description": "Names of the holes."},
            "rule": {
                "type": "object",
                "additionalProperties": False,
                "properties": body,
                "description": "Body of the rules; every field may hold `${{ name }}`.",
            },
        },
    }
