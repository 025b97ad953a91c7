"""Load the daemon's settings."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

from retrainer.config.check_access import check_access
from retrainer.config.check_secrets import AWS, check_file, check_secrets, check_url
from retrainer.config.document import read_model
from retrainer.config.errors import ConfigErrors, Problem, did_you_mean
from retrainer.config.relative import seen_from
from retrainer.config.settings import ApiManifests, ArgoEngine, S3Manifests, Settings
from retrainer.config.validation import Shape
from retrainer.config.violation import Violation, locate

if TYPE_CHECKING:
    from collections.abc import Iterator

    from retrainer.config.settings import Store

_SCHEMES = ("postgresql+psycopg", "postgresql")
_SECRET = ("password", "sslpassword")
_URL = ("store", "url")
SETTINGS_NAMES = ("retrainer.yaml", "retrainer.yml")
_SETTINGS: Shape[Settings] = Shape(Settings)


def load_settings(path: str) -> Settings:
    """Read a settings file; relative paths are relative to its folder. Raise ConfigErrors with all problems."""
    settings, problems = read_settings(path)
    if settings is None or problems:
        raise ConfigErrors(problems)
    return settings


def read_settings(path: str) -> tuple[Settings | None, list[Problem]]:
    """Like `load_settings`, but return the settings, if they can be read, together with the problems."""
    file = str(Path(path).absolute())
    root, shaped = read_model(file, _SETTINGS, "begin with `version: 1`, then `engine:`")
    if root is None or shaped.value is None:
        return None, shaped.problems
    settings = seen_from(Path(file).parent, shaped.value)
    return settings, shaped.problems + [locate(finding, root, ()) for finding in _check(settings)]


def settings_file(path: str) -> Path:
    """Resolve a path given by the user: a folder with a `retrainer.yaml` or `retrainer.yml` in it means that file."""
    where = Path(path)
    inside = (where / name for name in SETTINGS_NAMES)
    return next((file for file in inside if file.is_file()), where)


def settings_at(path: str) -> Settings | None:
    """Read the settings at a path given by the user; None if the file does not exist or is invalid."""
    file = settings_file(path)
    return read_settings(str(file))[0] if file.is_file() else None


def _check(settings: Settings) -> Iterator[Violation]:
    yield from check_secrets((), settings)
    yield from _check_store(settings.store)
    if settings.http.tls is not None:
        for name, file in settings.http.tls:
            if file is not None and name != "replica_name":
                yield from check_file(("http", "tls", name), file)
    if isinstance(settings.manifests, S3Manifests):
        yield from check_url(("manifests", "endpoint_url"), settings.manifests.endpoint_url, AWS)
    if isinstance(settings.manifests, ApiManifests):
        instead = "leave it out: workflows send the token themselves (docs/reference/manifest.md)"
        yield from check_url(("manifests", "base_url"), settings.manifests.base_url, instead)
    yield from check_access(settings)
    yield from _check_config_maps(settings)


def _check_config_maps(settings: Settings) -> Iterator[Violation]:
    if settings.config_maps is None:
        return
    if not isinstance(settings.engine, ArgoEngine):
        yield Violation(
            ("config_maps",),
            "ConfigMaps are read from the cluster of an engine of type argo, and this one is local",
            "remove it",
            of_key=True,
        )
        return
    for i, namespace in enumerate(settings.config_maps.namespaces):
        if namespace not in settings.engine.namespaces:
            yield Violation(
                ("config_maps", "namespaces", i),
                f"`{namespace}` is not among the engine's namespaces, so no rule from there could run",
                did_you_mean(namespace, settings.engine.namespaces) or "add it to `engine.namespaces`",
            )


def _check_store(store: Store) -> Iterator[Violation]:
    """Check the store. No message repeats the address: if it contains a password, that must not get into a log."""
    if store.url is None:
        if store.password is not None:
            yield Violation(
                ("store", "password"), "a SQLite file has no password", "remove it, or add `url`", of_key=True
            )
        return
    try:
        url = urlsplit(store.url)
        port_and_host = (url.hostname, url.port)
    except ValueError:
        yield Violation(_URL, "this cannot be read as a URL", "write postgresql+psycopg://user@host:5432/database")
        return
    if url.scheme not in _SCHEMES:
        yield Violation(
            _URL,
            "the store is a SQLite file (`path`) or a PostgreSQL database",
            "write postgresql+psycopg://user@host:5432/database",
        )
    elif not url.path.strip("/") or not (port_and_host[0] or "host=" in url.query):
        yield Violation(_URL, "host or database is missing", "write postgresql+psycopg://user@host:5432/database")
    if url.password is not None or any(name in _SECRET for name, _ in parse_qsl(url.query)):
        yield Violation(
            _URL,
            "a URL is shown in errors and lists, and this one holds a password",
            "remove it, and add `password: {from_env: NAME}` or `{from_file: PATH}` to `store`",
        )
