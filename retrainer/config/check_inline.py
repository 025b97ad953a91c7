"""Check an inline Workflow manifest under `submit.workflow`: report fields that would be dropped without notice."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from retrainer.config.errors import did_you_mean
from retrainer.config.reserved import ALLOWED, ARGO, MANAGED_BY, reserved
from retrainer.config.violation import Violation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.config.tree import Path

_AT = ("submit", "workflow")
_FIELDS = ("apiVersion", "kind", "metadata", "spec")
_METADATA = ("labels", "annotations", "name", "generateName")
"""`name` and `generateName` are accepted but not used: examples have them, and `lint` reports them."""
_ELSEWHERE = {
    "namespace": "write `namespace:` beneath `submit:` instead",
    "finalizers": "remove it: retrainer sets its own, until the outcome is stored",
    "ownerReferences": "remove it: the Workflow could be deleted with its owner before the outcome is stored",
}


def check_inline(manifest: Mapping[str, Any]) -> Iterator[Violation]:
    for name in manifest:
        if name not in _FIELDS:
            yield Violation(
                (*_AT, name), f"`{name}` of the manifest is not used", did_you_mean(name, _FIELDS), of_key=True
            )
    version, kind = manifest.get("apiVersion"), manifest.get("kind")
    if kind not in (None, "Workflow"):
        yield Violation((*_AT, "kind"), f"{kind!r:.60} is not a Workflow", "write `kind: Workflow`, or name a template")
    if version is not None and not str(version).startswith("argoproj.io/"):
        yield Violation(
            (*_AT, "apiVersion"), f"{version!r:.60} is not Argo's", "write `apiVersion: argoproj.io/v1alpha1`"
        )
    if not isinstance(manifest.get("spec"), dict):
        hint = "write the Workflow's `spec:` beneath it: `workflow: {spec: {entrypoint: NAME}}`"
        yield Violation(_AT, "the inline manifest has no `spec`", hint)
    else:
        yield from _arguments(manifest["spec"])
    yield from _metadata(manifest.get("metadata"))


def _arguments(spec: Mapping[str, Any]) -> Iterator[Violation]:
    """Check the arguments of the manifest. The rule's parameters are added to them."""
    path: Path = (*_AT, "spec", "arguments")
    arguments = spec.get("arguments")
    if arguments is None:
        return
    if not isinstance(arguments, dict):
        yield Violation(path, "the arguments are not a map", "write `parameters: [{name: …, value: …}]` beneath it")
        return
    given = arguments.get("parameters") or []
    named = isinstance(given, list) and all(isinstance(one, dict) and isinstance(one.get("name"), str) for one in given)
    if not named:
        yield Violation(
            (*path, "parameters"), "the parameters are not a list of names", "write `[{name: …, value: …}]`"
        )


def _metadata(metadata: Any) -> Iterator[Violation]:
    path: Path = (*_AT, "metadata")
    if metadata is None:
        return
    if not isinstance(metadata, dict):
        yield Violation(path, "the metadata is not a map", "write `labels:` or `annotations:` beneath it, or remove it")
        return
    for name in metadata:
        if name not in _METADATA:
            way_out = _ELSEWHERE.get(name) or did_you_mean(name, _METADATA)
            yield Violation((*path, name), f"`metadata.{name}` of the manifest is not used", way_out, of_key=True)
    for field in ("labels", "annotations"):
        yield from _texts((*path, field), metadata.get(field))


def _texts(path: Path, given: Any) -> Iterator[Violation]:
    if given is None:
        return
    if not isinstance(given, dict):
        yield Violation(path, f"the {path[-1]} are not a map", "write names and texts beneath it, or remove it")
        return
    for key, value in given.items():
        yield from check_key((*path, key), key)
        if not isinstance(value, str):
            yield Violation((*path, key), f"{value!r:.60} is not a text", f'quote it: "{value!s:.60}"')


def check_key(path: Path, key: str) -> Iterator[Violation]:
    """Check the key of a label or annotation."""
    if reserved(key):
        domain = key.partition("/")[0]
        own = f"{domain}/" if domain != MANAGED_BY.partition("/")[0] else key
        free = ", ".join(sorted(name.partition("/")[2] for name in ALLOWED))
        more = f"; of these you may set {free}" if domain == ARGO else ""
        yield Violation(path, f"`{own}` is reserved", f"remove it, or use your own domain{more}", of_key=True)
