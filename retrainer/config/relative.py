"""Relative paths in a configuration are relative to the folder of the file that contains them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from retrainer.config.models import DirectorySource, FromFile, Model, Tls
from retrainer.config.settings import ArgoEngine, LocalEngine, ServerTls, Settings, Store, VolumeManifests

if TYPE_CHECKING:
    from pathlib import Path

T = TypeVar("T")
_PATHS: dict[type[Model], tuple[str, ...]] = {
    ArgoEngine: ("kubeconfig",),
    DirectorySource: ("path",),
    FromFile: ("from_file",),
    LocalEngine: ("templates", "runs"),
    ServerTls: ("certificate", "key", "client_authorities", "replica_authorities"),
    Settings: ("rules",),
    Store: ("path",),
    Tls: ("ca_file", "cert_file", "key_file"),
    VolumeManifests: ("path",),
}
"""The fields of each model that hold the path of a file or folder, or a list of such paths."""


def seen_from(folder: Path, part: T) -> T:
    """Return the part with each relative path in it joined to the folder."""
    if isinstance(part, list):
        return [seen_from(folder, one) for one in part]  # type: ignore[return-value]
    if not isinstance(part, Model):
        return part
    paths = _PATHS.get(type(part), ())
    seen = {name: _joined(folder, value) if name in paths else seen_from(folder, value) for name, value in part}
    return part.model_copy(update={name: value for name, value in seen.items() if value is not getattr(part, name)})


def _joined(folder: Path, value: Any) -> Any:
    if isinstance(value, list):
        return [_joined(folder, path) for path in value]
    return value if value is None else str(folder / value)
