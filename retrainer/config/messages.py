"""Translate errors of pydantic into messages and hints in the terms of the configuration file."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from retrainer.config.errors import did_you_mean, nearest
from retrainer.config.examples import entries, flow, list_example, map_example, scalar_example
from retrainer.config.fields import SAMPLES
from retrainer.config.other_tools import field_hint, field_of, value_hint

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic_core import ErrorDetails

    from retrainer.config.schema_places import SchemaPlaces

_SECRET = ("a secret is a reference, never the secret itself", "write {from_env: NAME} or {from_file: /path/of/it}")
_OF_KUBERNETES = "write {from_env: NAME}, and set NAME in the pod with `secretKeyRef`"
_ACTIONS = re.compile(r"\$\{\{\s*secrets\.([A-Z_][A-Z0-9_]{0,60})\s*\}\}")
_KINDS = {
    "string": "text",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "list": "a list",
    "dict": "a map",
    "model": "a map",
    "model_attributes": "a map",
}
_EMPTY = {"too_short": "at least one is needed", "string_too_short": "write a text, or remove the line"}
_FEW = 2
"""Maximum number of places that a message names for a field that is written at the wrong one."""
_SUCH_AS = {"a whole number": ", such as 100", "a number": ", such as 0.2"}
_PATTERNS = {
    r"^https?://[^\s?#]+$": "write such as http://host.example.org:8080",
    r"^https?://[^\s?#@]+$": "write such as http://collector:4318",
    r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$": "use lower-case letters, digits and `-`, with a letter or digit at both ends",
    r"^[A-Za-z_][A-Za-z0-9_-]*$": "begin with a letter, then letters, digits, `_` and `-`",
    r"^/hooks/[A-Za-z0-9._~/-]+$": "begin with /hooks/, then letters, digits and . _ ~ / -",
    r"^([01]\d|2[0-4]):[0-5]\d-([01]\d|2[0-4]):[0-5]\d$": "write it as 08:00-18:00",
}


def describe(errors: Sequence[ErrorDetails], places: SchemaPlaces) -> tuple[str, str]:
    """Return message and hint for all errors at one position."""
    if of_secret(errors):
        given = errors[0]["input"]
        if isinstance(given, dict) and "secretKeyRef" in given:
            return "retrainer does not read Secrets of Kubernetes itself", _OF_KUBERNETES
        return _SECRET[0], _secret_of(given) or _SECRET[1]
    kinds = [kind for kind in map(_kind, errors) if kind != "a whole number" or len(errors) == 1]
    if len(errors) > 1 and all(kinds):
        return f"expected {_either(kinds)}, not {_name(errors[0]['input'])}", "write one of these"
    return _one(errors[0], places)


def of_secret(errors: Sequence[ErrorDetails]) -> bool:
    """Whether the position is that of a secret. Its line must not be shown: it may contain the secret itself."""
    return any(step in ("FromEnv", "FromFile") for error in errors for step in error["loc"])


def _secret_of(given: Any) -> str:
    """What to write for a secret of GitHub Actions, which is a reference there, too; else empty."""
    found = _ACTIONS.fullmatch(given) if isinstance(given, str) else None
    return f"write {{from_env: {found[1]}}}, and set that variable" if found else ""


def meant_field(loc: Sequence[str | int], places: SchemaPlaces) -> str:
    """Return the field that an unknown one at ``loc`` most likely is, empty if there is none."""
    name, known = str(loc[-1]), places.fields(loc[:-1])
    return field_of(name, known) or nearest(name, known)


def _one(error: ErrorDetails, places: SchemaPlaces) -> tuple[str, str]:
    context: dict[str, Any] = error.get("ctx", {})
    match error["type"]:
        case "missing":
            name = str(error["loc"][-1])
            sample = (
                "FOLDER" if name == "path" and {"directory", "volume"} & set(error["loc"]) else SAMPLES.get(name, "…")
            )
            more = f", or `{name}: all`" if name == "namespaces" and "tokens" in error["loc"] else ""
            return f"`{name}` is missing", f"add `{name}: {sample}`{more}"
        case "extra_forbidden":
            return f"unknown field `{error['loc'][-1]}`", _known_as(error, places)
        case "string_pattern_mismatch":
            return f"{error['input']!r} is not allowed here", _allowed(error["input"], context["pattern"])
        case "string_too_long":
            most, given = context["max_length"], len(error["input"])
            return f"{given} characters, at most {most} are allowed", _shorter(error["loc"], given - most)
        case "literal_error":
            return f"{_value(error['input'])} is not one of the choices", _choices(error["input"], context["expected"])
        case "union_tag_invalid":
            return f"unknown type {_value(context['tag'])}", _choices(context["tag"], context["expected_tags"])
        case "union_tag_not_found":
            return "`type` is missing", "add a type, such as `type: webhook`"
        case "value_error":
            return _split(str(context["error"]))
        case "too_short" | "string_too_short" as kind:
            return "it is empty", _EMPTY[kind]
    return _by_type(error, places)


def _by_type(error: ErrorDetails, places: SchemaPlaces) -> tuple[str, str]:
    kind = _kind(error)
    if error["type"] == "less_than_equal":
        return f"{_value(error['input'])} is too large", f"write at most {error['ctx']['le']:.15g}"
    if error["type"] == "greater_than_equal":
        return f"{_value(error['input'])} is too small", f"write at least {error['ctx']['ge']:.15g}"
    if error["type"] == "greater_than":
        return f"{_value(error['input'])} is too small", f"write more than {error['ctx']['gt']:.15g}"
    if error["type"] == "too_long":
        return f"{error['ctx']['actual_length']} of them", f"at most {error['ctx']['max_length']} are allowed"
    if not kind:
        return error["msg"][:1].lower() + error["msg"][1:], f"it is {_value(error['input'])}"
    return f"expected {kind}, not {_name(error['input'])}", _way_out(kind, error, places)


def _way_out(kind: str, error: ErrorDetails, places: SchemaPlaces) -> str:
    """What to write instead of a value of the wrong type."""
    given = error["input"]
    if error["loc"][-1:] == ("labels",) and isinstance(given, list) and isinstance((*given, None)[0], str):
        pairs = given[0].partition("=")[1]
        return (
            f"write {flow(entries(given))}" if pairs else f"write names with values, such as {flow({'team': given[0]})}"
        )
    if kind == "a map":
        return f"write {map_example(given, places.parts(error['loc']), places.resolved)}"
    if kind == "a list":
        return f"write {list_example(given)}"
    if kind == "text" and isinstance(given, (int, float)):
        return f'quote it: "{_plain(given)}"'
    if isinstance(given, dict) and "type" in given:
        field = error["loc"][-1]
        return f"move it under `{field}s:` as `NAME: {_definition(given)}`, and write `{field}: NAME` here"
    return f"write {scalar_example(given, kind)}{_SUCH_AS.get(kind, '') if isinstance(given, bool) else ''}"


def _definition(given: dict[str, Any]) -> str:
    """The definition in one line, without fields that may hold a secret."""
    plain = {name: given[name] for name in ("type", "path") if isinstance(given.get(name), str)}
    return flow(plain) if len(plain) == len(given) else f"{flow(plain)[:-1]}, …}}"


def _allowed(given: str, pattern: str) -> str:
    """A name that is allowed, made from the one that is not; else what is allowed."""
    name = re.sub(r"[^a-z0-9]+", "-", given.lower()).strip("-")
    rule = _PATTERNS.get(pattern, f"it must match {pattern}")
    if "/hooks/" in pattern:
        name = f"/hooks/{given.lstrip('/')}"
    return f"write `{name}`: {rule}" if "-" in pattern and re.fullmatch(pattern, name) else rule


def _known_as(error: ErrorDetails, places: SchemaPlaces) -> str:
    """What an unknown field is called here, or where it belongs."""
    name, known = str(error["loc"][-1]), places.fields(error["loc"][:-1])
    near = field_hint(name, error["input"], known) or did_you_mean(name, known)
    elsewhere = [] if near[:5] in ("write", "did y") else places.elsewhere(name)
    if len(elsewhere) == 1 and name == "by":
        return _key_of_trigger(error)
    if len(elsewhere) == 1 and elsewhere[0] and "NAME" not in elsewhere[0]:
        return f"write `{name}: {flow(error['input'])}` under `{elsewhere[0]}:`"
    if 0 < len(elsewhere) <= _FEW:
        return "write it " + " or ".join(f"under `{path}`" if path else "beside `name`" for path in elsewhere)
    return near


def _key_of_trigger(error: ErrorDetails) -> str:
    """What to write for `by` in a trigger, which names labels in PromQL."""
    loc, given = error["loc"], error["input"]
    trigger = loc[loc.index("triggers") + 1] if "triggers" in loc[:-1] else "TRIGGER"
    label = given[0] if isinstance(given, list) and given else given
    by = {trigger: f"event.data.labels.{label if isinstance(label, str) else 'LABEL'}"}
    return f"write `for_each: {flow({'by': by})}` on the rule"


def _shorter(loc: Sequence[str | int], much: int) -> str:
    if loc[-1:] == ("where",):
        return "test fixed values with `match: {FIELD: VALUE}`; write `x == 'a' || x == 'b'` as `x in ['a', 'b']`"
    return f"remove {much}"


def _kind(error: ErrorDetails) -> str:
    """The expected type, if the type is wrong."""
    found = re.fullmatch(r"(\w+)_(type|parsing|from_float)", error["type"])
    return _KINDS.get(found[1], "") if found else ""


def _choices(given: Any, expected: str) -> str:
    words = re.findall(r"'([^']*)'", expected) or [expected]
    hint = value_hint(given, words) or did_you_mean(str(given), words)
    return hint if hint.startswith(("did", "write")) else "write " + _either(words)


def _split(text: str) -> tuple[str, str]:
    """Split `not a duration: write …` into message and hint."""
    what, colon, way_out = text.partition(": ")
    return (what, way_out) if colon else (text, "")


def _either(words: Sequence[str]) -> str:
    return " or ".join(filter(None, [", ".join(words[:-1]), words[-1]]))


def _name(value: Any) -> str:
    names = {dict: "a map", list: "a list", bool: _plain(value), type(None): "nothing"}
    return names.get(type(value), _value(value))


def _value(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else _plain(value)
    return text if len(text) <= 60 else text[:57] + "…"


def _plain(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
