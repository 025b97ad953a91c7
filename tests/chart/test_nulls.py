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

DEFAULTS, FULL = load("values.yaml"), load("ci/platform-values.yaml")
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
PEERS = {"ingressFrom", "dnsTo", "apiServerTo", "postgresqlTo"}
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


@pytest.mark.parametrize(
    ("base", "path"),
    [
        *(pytest.param({}, path, id=f"defaults-{'.'.join(path)}") for path in ALL),
        *(pytest.param(FULL, path, id=f"full-{'.'.join(path)}") for path in ALL if at(FULL, path) is not None),
    ],
)
def test_a_value_that_is_null_is_as_if_empty_or_is_refused_by_name(base: Values, path: Path) -> None:
    objects, refused = attempt(changed(base, path, None))
    assert "nil pointer" not in refused
    assert "error calling" not in refused
    assert path[-1] in refused or objects
    assert [where for one in objects for where in nulls(one)] == []


def test_there_are_maps_to_take_entries_out_of() -> None:
    assert ("networkPolicy", "egress") in MAPS
    assert ("extraVolumes",) in MAPS
    assert len(MAPS) > 20


@pytest.mark.parametrize("base", [pytest.param({}, id="defaults"), pytest.param(FULL, id="full")])
def test_an_entry_that_is_null_is_as_if_it_had_never_been_there(base: Values) -> None:
    base = changed(base, ("apiToken",), {"create": False, "existingSecret": "token"})
    values = base
    for path in MAPS:
        if path[-1] not in PEERS or at(base, path):
            values = changed(values, (*path, "taken-out" if path != ("extraEnv",) else "TAKEN_OUT"), None)
    assert render(values) == render(base)


@pytest.mark.parametrize("path", [path for path in MAPS if at(FULL, path) and path[-1] not in PEERS], ids=".".join)
def test_entries_that_are_all_null_are_as_if_the_map_were_empty(path: Path) -> None:
    emptied = changed(FULL, path, dict.fromkeys(at(FULL, path)))
    assert render(emptied) == render(changed(FULL, path, {}))


@pytest.mark.parametrize("path", LISTS, ids=".".join)
def test_a_list_with_a_null_is_refused(path: Path) -> None:
    with pytest.raises(Refused, match=path[-1]):
        render(changed(FULL, path, [None]))


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
