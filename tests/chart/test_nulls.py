"""A value that a later values file sets to null: it is taken out, or refused with its name. It never opens anything.

The tests walk values.yaml, so a new value is tested without a change here.
"""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any

import pytest

from .conftest import CHART, Refused, Values, attempt, load, render

if TYPE_CHECKING:
    from collections.abc import Iterator

DEFAULTS = load("values.yaml")
BASES = {name: load(f"ci/{name}-values.yaml") for name in ("default", "platform", "edge")}
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PEERS = {"ingressFrom", "dnsTo", "apiServerTo", "postgresqlTo"}
NAMES = {"extraEnv": "TAKEN_OUT", "paths": "/taken-out"}
"""Names of an entry, where `taken-out` is none that the schema accepts."""
Path = tuple[str, ...]


def paths(values: Values, above: Path = ()) -> Iterator[Path]:
    """Every value of values.yaml, sections and their parts alike."""
    for name, value in values.items():
        yield (*above, name)
        if isinstance(value, dict):
            yield from paths(value, (*above, name))


def schema_of(path: Path) -> dict[str, Any]:
    """Return the schema of a value; empty within values whose parts Kubernetes defines."""
    found = SCHEMA
    for name in path:
        found = found.get("properties", {}).get(name, {})
        if "$ref" in found:
            found = SCHEMA["definitions"][found["$ref"].rpartition("/")[2]]
    return dict(found)


def changed(values: Values, path: Path, value: Any) -> Values:
    """Return a copy of the values in which the value at the path is another one."""
    all_values = copy.deepcopy(values)
    inner = all_values
    for name in path[:-1]:
        inner = inner.setdefault(name, {})
    inner[path[-1]] = value
    return all_values


def at(values: Values, path: Path) -> Any:
    """Return the value at a path, or None."""
    found: Any = values
    for name in path:
        found = found.get(name) if isinstance(found, dict) else None
    return found


def nulls(value: Any, where: str = "") -> Iterator[str]:
    """Name each null in an object."""
    if value is None:
        yield where
    elif isinstance(value, dict):
        for name, one in value.items():
            yield from nulls(one, f"{where}.{name}")
    elif isinstance(value, list):
        for number, one in enumerate(value):
            yield from nulls(one, f"{where}[{number}]")


ALL = list(paths(DEFAULTS))
LISTS = [path for path in ALL if schema_of(path).get("type") == "array"]
MAPS = [path for path in ALL if schema_of(path).get("type") == "object" and "properties" not in schema_of(path)]


def given(base: str, among: list[Path]) -> Iterator[Path]:
    """The values that a file of ci/ sets to something that is not empty."""
    return (path for path in among if at(BASES[base], path))


def cases(base: str, among: list[Path]) -> Iterator[Any]:
    return (pytest.param(base, path, id=f"{base}-{'.'.join(path)}") for path in among)


@pytest.mark.parametrize(
    ("base", "path"),
    [
        *cases("default", ALL),
        *cases("platform", list(given("platform", ALL))),
        *cases("edge", list(given("edge", ALL))),
    ],
)
def test_a_value_that_is_null_is_as_if_empty_or_is_refused_by_name(base: str, path: Path) -> None:
    objects, refused = attempt(changed(BASES[base], path, None))
    assert "nil pointer" not in refused
    assert "error calling" not in refused
    assert path[-1] in refused or objects
    assert [where for one in objects for where in nulls(one)] == []


def test_there_are_maps_to_take_entries_out_of() -> None:
    assert ("networkPolicy", "egress") in MAPS
    assert ("extraVolumes",) in MAPS
    assert len(MAPS) > 20


@pytest.mark.parametrize("base", BASES)
def test_an_entry_that_is_null_is_as_if_it_had_never_been_there(base: str) -> None:
    before = changed(BASES[base], ("apiToken",), {"create": False, "existingSecret": "token"})
    values = before
    for path in MAPS:
        if path[-1] not in PEERS or at(before, path):
            values = changed(values, (*path, NAMES.get(path[-1], "taken-out")), None)
    assert render(values) == render(before)


EMPTY_IS_REFUSED = PEERS | {"hosts", "hostnames", "paths", "parentRefs"}


@pytest.mark.parametrize(("base", "path"), [case for base in BASES for case in cases(base, list(given(base, MAPS)))])
def test_entries_that_are_all_null_are_as_if_the_map_were_empty(base: str, path: Path) -> None:
    values = changed(BASES[base], ("apiToken",), {"create": False, "existingSecret": "token"})
    emptied, refused = attempt(changed(values, path, dict.fromkeys(at(values, path))))
    assert not refused or path[-1] in EMPTY_IS_REFUSED
    assert ".".join(path) in refused or emptied == render(changed(values, path, {}))


@pytest.mark.parametrize("path", LISTS, ids=".".join)
def test_a_list_with_a_null_is_refused(path: Path) -> None:
    with pytest.raises(Refused, match=path[-1]):
        render(changed({}, path, [None]))


@pytest.mark.parametrize("key", sorted(PEERS))
def test_taking_out_the_last_peer_does_not_let_everyone_through(key: str) -> None:
    with pytest.raises(Refused, match=f"networkPolicy.{key}: every entry is null"):
        render({"networkPolicy": {"enabled": True, key: {"former": None}}})


@pytest.mark.parametrize(
    "egress",
    [
        pytest.param({"kafka": None}, id="the rule"),
        pytest.param({"kafka": None, "more": {"ports": [{"port": 1}]}}, id="one of two"),
        pytest.param({"kafka": {"to": None, "ports": [{"port": 9092}]}}, id="its peers"),
        pytest.param({"kafka": {"to": [None], "ports": [{"port": 9092}]}}, id="its only peer"),
        pytest.param({"kafka": {"to": [], "ports": [{"port": 9092}]}}, id="an empty list of peers"),
        pytest.param({"kafka": {"to": [{"podSelector": {}}], "ports": None}}, id="its ports"),
        pytest.param({"kafka": {"to": [{"podSelector": None}]}}, id="the selector of a peer"),
        pytest.param({"kafka": {"to": [{"podSelector": {"matchLabels": {"app": None}}}]}}, id="a label of a peer"),
        pytest.param({"kafka": {}}, id="an empty rule"),
    ],
)
def test_no_null_allows_all_egress(egress: Values) -> None:
    objects, refused = attempt({"networkPolicy": {"enabled": True, "egress": egress}})
    assert "/networkPolicy/egress/kafka" in refused or wide(objects) == []


@pytest.mark.parametrize("ports", [{"https": None, "secure": None}, None, {}])
def test_an_api_server_without_ports_allows_no_port(ports: Values | None) -> None:
    assert wide(render({"networkPolicy": {"enabled": True, "apiServerPorts": ports}})) == []


def wide(objects: list[Values]) -> list[Any]:
    """Return the egress rules that are empty or have an empty list: each allows more than it says."""
    rules = [rule for one in objects if one["kind"] == "NetworkPolicy" for rule in one["spec"]["egress"]]
    assert rules
    return [rule for rule in rules if not (rule and all(rule.values()))]
