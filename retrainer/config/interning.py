"""Share equal parts of rules as one object: ten thousand rules repeat the same few limits, batches and ages."""

from __future__ import annotations

from typing import TypeVar

from pydantic import BaseModel

M = TypeVar("M", bound=BaseModel)


class Shared:
    """The parts seen so far, during one load of the configuration."""

    def __init__(self) -> None:
        self._models: dict[tuple[object, ...], BaseModel] = {}
        self._names: dict[frozenset[str], set[str]] = {}

    def share(self, model: M) -> M:
        """Return an equal model that shares its parts with earlier ones. This is safe, as models are frozen."""
        values = model.__dict__
        for name, value in values.items():
            if isinstance(value, BaseModel):
                values[name] = self.share(value)
            elif isinstance(value, dict):
                self._share_values(value)
        given = model.__pydantic_fields_set__
        names = frozenset(given)
        object.__setattr__(model, "__pydantic_fields_set__", self._names.setdefault(names, given))
        # Compare types too: 1, 1.0 and true are equal, but not the same.
        same = (type(model), names, *((type(value), value) for value in values.values()))
        try:
            return self._models.setdefault(same, model)  # type: ignore[return-value] # of the same type
        except TypeError:  # not hashable, because it contains a list or a map
            return model

    def _share_values(self, found: dict[object, object]) -> None:
        for key, value in found.items():
            if isinstance(value, BaseModel):
                found[key] = self.share(value)
