"""Relative paths in a configuration are relative to the folder of the file that contains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

from retrainer.config.models import DirectorySource, FromFile, Model, Tls

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
_PATHS: dict[type[Model], tuple[str, ...]] = {
    DirectorySource: ("path",),
    FromFile: ("from_file",),
    Tls: ("ca_file", "cert_file", "key_file"),
}
"""The fields of each model that hold the path of a file or folder."""


def seen_from(folder: Path, part: T) -> T:
    """Return the part with each relative path in it joined to the folder."""
    if isinstance(part, list):
        return [seen_from(folder, one) for one in part]  # type: ignore[return-value]
    if not isinstance(part, Model):
        return part
    changed = {}
    for name in part.model_fields_set:
        value = getattr(part, name)
        is_path = isinstance(value, str) and name in _PATHS.get(type(part), ())
        changed[name] = str(folder / value) if is_path else seen_from(folder, value)
    return part.model_copy(update=changed)
