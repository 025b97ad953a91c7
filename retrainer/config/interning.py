"""Equal parts of many rules are one object: ten thousand rules repeat the same few limits, batches and ages."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


class Shared:
    """The parts seen so far. It lives as long as one reading of the configuration."""

    def __init__(self) -> None:
        self._models: dict[tuple[object, ...], BaseModel] = {}
        self._names: dict[frozenset[str], set[str]] = {}

    def share(self, model: M) -> M:
        """Return an equal model whose parts are shared with those seen before. Models are frozen, so nobody notices."""
        values = model.__dict__
        for name, value in values.items():
            if isinstance(value, BaseModel):
                values[name] = self.share(value)
            elif isinstance(value, dict):
                self._share_values(value)
        given = model.__pydantic_fields_set__
        names = frozenset(given)
        object.__setattr__(model, "__pydantic_fields_set__", self._names.setdefault(names, given))
        # With their types: 1, 1.0 and true are equal, and not the same.
        same = (type(model), names, *((type(value), value) for value in values.values()))
        try:
            return self._models.setdefault(same, model)  # type: ignore[return-value] # of the same type
        except TypeError:  # it holds a list or a map, and has no hash
            return model

    def _share_values(self, found: dict[object, object]) -> None:
        for key, value in found.items():
            if isinstance(value, BaseModel):
                found[key] = self.share(value)
