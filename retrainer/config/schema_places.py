"""The JSON Schema of a model, by position: what is allowed there, and where else a field exists."""

from __future__ import annotations

from collections import defaultdict
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

Schema = dict[str, Any]
_DEEPEST = 4


class SchemaPlaces:
    """Looks up the parts of one schema. References are followed."""

    def __init__(self, schema: Schema) -> None:
        self._schema = schema

    def parts(self, loc: Sequence[str | int]) -> list[Schema]:
        """The variants that are allowed at a position. A step that does not exist, such as a type's tag, is skipped."""
        here = [self._schema]
        for step in loc:
            here = list(self._under(here, step)) or here
        return self.resolved(*here)

    def fields(self, loc: Sequence[str | int]) -> list[str]:
        """The fields that are allowed at a position."""
        return sorted({name for part in self.parts(loc) for name in part.get("properties", {})})

    def resolved(self, *parts: Schema) -> list[Schema]:
        """The variants of parts, without references."""
        return list(self._resolved(parts))

    def elsewhere(self, field: str) -> list[str]:
        """The maps that have this field, such as `limits` or `triggers.NAME.schedule`."""
        return self._maps.get(field, [])

    @cached_property
    def _maps(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = defaultdict(list)
        ahead: list[tuple[tuple[str, ...], Schema]] = [((), self._schema)]
        while ahead:
            path, of = ahead.pop()
            for part in self.resolved(of):
                for name, below in part.get("properties", {}).items():
                    found[name].append(".".join(path))
                    ahead += [((*path, name), below)] * (len(path) < _DEEPEST)
                if isinstance(part.get("additionalProperties"), dict) and len(path) < _DEEPEST:
                    ahead.append(((*path, "NAME"), part["additionalProperties"]))
        return found

    def _resolved(self, parts: Sequence[Schema]) -> Iterator[Schema]:
        for part in parts:
            if "$ref" in part:
                yield from self._resolved([self._schema["$defs"][part["$ref"].rsplit("/", 1)[1]]])
            elif "anyOf" in part or "oneOf" in part:
                yield from self._resolved(part.get("anyOf") or part["oneOf"])
            else:
                yield part

    def _under(self, parts: Sequence[Schema], step: str | int) -> Iterator[Schema]:
        for part in parts:
            tags = part.get("discriminator", {}).get("mapping", {})
            if step in tags:
                yield {"$ref": tags[step]}
        for part in self._resolved(parts):
            if step in part.get("properties", {}):
                yield part["properties"][step]
            elif isinstance(step, int) and "items" in part:
                yield part["items"]
            elif isinstance(step, str):
                yield from part.get("patternProperties", {}).values()
                if isinstance(part.get("additionalProperties"), dict):
                    yield part["additionalProperties"]
