# ruff: noqa: INP001 - a standalone script
"""Convert Kubernetes' OpenAPI description and CustomResourceDefinitions to one JSON Schema per kind, for kubeconform.

Usage: schemas.py FOLDER swagger.json CRD.yaml...
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]


def closed(schema: Any) -> Any:
    """Reject unknown fields wherever fields are named, as the API server does with strict field validation."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    inner = {name: closed(value) for name, value in schema.items()}
    if isinstance(inner.get("properties"), dict) and not inner.get("x-kubernetes-preserve-unknown-fields"):
        inner.setdefault("additionalProperties", False)
    if inner.pop("x-kubernetes-int-or-string", False) or inner.get("format") == "int-or-string":
        return {"type": ["string", "integer"]}
    return inner


def file_name(kind: str, group: str, version: str) -> str:
    parts = [kind, group.partition(".")[0], version]
    return "-".join(part for part in parts if part).lower() + ".json"


def needed(definitions: dict[str, Schema], name: str) -> dict[str, Schema]:
    """Return a definition with all definitions that it refers to."""
    found: dict[str, Schema] = {}
    waiting = [name]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found[one] = definitions[one]
            waiting += re.findall(r'"#/definitions/([^"]+)"', json.dumps(definitions[one]))
    return found


def built_in(folder: Path, swagger: Path) -> None:
    definitions = closed(json.loads(swagger.read_text())["definitions"])
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for name, definition in definitions.items():
        for what in definition.get("x-kubernetes-group-version-kind", ()):
            schema = {"$ref": f"#/definitions/{name}", "definitions": needed(definitions, name)}
            (folder / file_name(what["kind"], what["group"], what["version"])).write_text(json.dumps(schema))


def custom(folder: Path, crd: Path) -> None:
    spec = yaml.safe_load(crd.read_text())["spec"]
    for version in spec["versions"]:
        schema = closed(version["schema"]["openAPIV3Schema"])
        schema.setdefault("properties", {})["metadata"] = {"type": "object"}
        (folder / file_name(spec["names"]["kind"], spec["group"], version["name"])).write_text(json.dumps(schema))


def main(folder: Path, swagger: Path, crds: list[Path]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    built_in(folder, swagger)
    for crd in crds:
        custom(folder, crd)


if __name__ == "__main__":
    main(Path(sys.argv[1]).absolute(), Path(sys.argv[2]), [Path(crd) for crd in sys.argv[3:]])
