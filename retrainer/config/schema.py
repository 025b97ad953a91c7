"""JSON Schemas for editors, generated from the models with the descriptions of all fields."""

from __future__ import annotations

from typing import Any

from retrainer.config.models import DURATION_PATTERN, SIZE_PATTERN, Rules, written_duration, written_size
from retrainer.config.schema_places import SchemaPlaces
from retrainer.config.settings import Settings
from retrainer.config.short_forms import ANY_NAME, SHORT_FORMS

_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_WRITTEN = {DURATION_PATTERN: written_duration, SIZE_PATTERN: written_size}
_SHAPE = ("$ref", "type", "items", "additionalProperties", "minItems", "maxItems")
_ANY = {"description": "A value, or a text with `${{ name }}` holes."}


def rules_schema() -> dict[str, Any]:
    """Return the schema of a rule file, including `defaults`, `templates` and rules that use a template."""
    schema = Rules.model_json_schema()
    _write_defaults(schema)
    _allow_short_forms(schema)
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
    _write_defaults(schema)
    return {"$schema": _DIALECT, **schema, "title": "retrainer settings", "description": "The daemon's own settings."}


def _partial(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule in which every field is optional, also in nested maps, and `name` is not allowed."""
    properties = {name: _loose(field) for name, field in rule["properties"].items() if name != "name"}
    return {"type": "object", "additionalProperties": False, "properties": properties, "title": "PartialRule"}


def _loose(field: dict[str, Any]) -> dict[str, Any]:
    branches = (field, *field.get("anyOf", ()))
    if not any("$ref" in branch for branch in branches):
        return field
    kinds = {kind for branch in branches for kind in [branch.get("type")] if isinstance(kind, str)} - {"null"}
    return {"type": ["object", *sorted(kinds)] if kinds else "object", "description": field.get("description", "")}


def _write_defaults(schema: dict[str, Any]) -> None:
    """Write the defaults of durations and sizes as texts: the models hold seconds and bytes."""
    places = SchemaPlaces(schema)
    for model in (schema, *schema["$defs"].values()):
        for field in model.get("properties", {}).values():
            if "default" in field:
                field["default"] = _as_written(field["default"], field, places)


def _as_written(value: Any, field: dict[str, Any], places: SchemaPlaces) -> Any:
    for part in places.resolved(field):
        if isinstance(value, dict) and "properties" in part:
            return {name: _as_written(inner, part["properties"][name], places) for name, inner in value.items()}
        if isinstance(value, (int, float)) and part.get("pattern") in _WRITTEN:
            return _WRITTEN[part["pattern"]](value)
    return value


def _allow_short_forms(schema: dict[str, Any]) -> None:
    """Add the short form of each field that has one, as a variant of its long form."""
    places = SchemaPlaces(schema)
    for path, form in SHORT_FORMS.items():
        loc: tuple[str | int, ...] = (path[0], *([0] if path[0] == "rules" else []), *path[1:])
        short = {"type": "string"} if form.wraps or not form.field else places.parts((*loc, form.field))[0]
        for parent in places.parts(loc[:-1]):
            fields = parent.get("patternProperties" if loc[-1] == ANY_NAME else "properties", {})
            for name in fields if loc[-1] == ANY_NAME else {str(loc[-1])} & fields.keys():
                fields[name] = _either(fields[name], short)


def _either(long: dict[str, Any], short: dict[str, Any]) -> dict[str, Any]:
    """A field that allows both, with the description and default of the first."""
    variants = long.get("anyOf") or [{name: part for name, part in long.items() if name in _SHAPE}]
    rest = {name: part for name, part in long.items() if name not in ("anyOf", *_SHAPE)}
    return {**rest, "anyOf": [*variants, {name: part for name, part in short.items() if name != "description"}]}


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
