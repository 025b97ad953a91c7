"""What an example needs beside the engine: programs of its images, and servers."""

from __future__ import annotations

import re
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.argo_examples.examples import Example

PROGRAM, SERVER = "program", "server"
_SHELLS = {"sh", "bash", "/bin/sh", "/bin/bash"}
_WORD = re.compile(r"(?:^|[\n;|&({`]|\b(?:then|do|else|until|while|if|!)\s)\s*([a-zA-Z][\w.-]*)(?![\w.=-])")
_IGNORED = re.compile(r"\{\{.*?\}\}|\$\{\w+\}|'[^']*'|\"(?:[^\"`$]|\$(?!\())*\"|#.*|\\\n|<<\s*EOF.*?\bEOF\b", re.DOTALL)
_BUILT_IN = {
    *("if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "in", "function"),
    *("cd", "exit", "set", "export", "return", "read", "trap", "wait", "eval", "exec", "local", "shift"),
}
_CLIENTS = {"curl", "wget", "apk", "apt-get", "aws", "kubectl", "argo", "docker", "pip"}
"""Programs that do nothing without a server, wherever they are installed."""
_STORES = ("s3", "gcs", "git", "http", "oss", "hdfs", "azure", "artifactory", "plugin")
_OBJECTS = ("configMapKeyRef", "secretKeyRef", "configMap", "secret", "persistentVolumeClaim")


def missing(example: Example) -> dict[str, list[str]]:
    """Return what this machine lacks to run the example: programs, and servers, in words."""
    found = set(_lacks(example.specs or example.unreadable_specs, ""))
    return {kind: sorted(what for of, what in found if of == kind) for kind in (PROGRAM, SERVER)}


def _lacks(value: Any, key: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, list):
        for item in value:
            yield from _lacks(item, key)
    elif isinstance(value, dict):
        if key in ("container", "script", "containers", "sidecars", "initContainers"):
            yield from ((PROGRAM, what) for what in _programs(value))
        elif key in ("templates", "inline"):
            yield from _template(value)
        elif key == "artifacts":
            yield from ((SERVER, f"`{store}` storage") for store in _STORES if isinstance(value.get(store), dict))
        yield from ((SERVER, f"the cluster's `{name}`") for name in _OBJECTS if isinstance(value.get(name), dict))
        if key == "synchronization" and "database" in str(value):
            yield SERVER, "a database of locks"
        for name, item in value.items():
            yield from _lacks(item, name)


def _template(template: dict[str, Any]) -> Iterator[tuple[str, str]]:
    if "resource" in template:
        yield PROGRAM, "`kubectl` with a cluster"
    if "http" in template:
        yield SERVER, "the Internet"
    if "data" in template:
        yield SERVER, "`s3` storage"
    if "plugin" in template:
        yield PROGRAM, "a plugin of the executor"
    if "suspend" in template and not (template["suspend"] or {}).get("duration"):
        yield SERVER, "a person who resumes it"


def _programs(container: dict[str, Any]) -> Iterator[str]:
    command = [str(word) for word in container.get("command") or ()]
    if not command:
        yield f"the entrypoint of the image `{container.get('image')}`"
        return
    if not shutil.which(command[0]) and "{{" not in command[0]:
        yield f"`{command[0]}`"
    if command[0] in _SHELLS:
        texts = [*command[1:], *map(str, container.get("args") or ()), str(container.get("source") or "")]
        for word in _WORD.findall(_IGNORED.sub("''", "\n".join(texts))):
            if word in _CLIENTS:
                yield f"`{word}` with a server"
            elif word not in _BUILT_IN and not shutil.which(word):
                yield f"`{word}`"
