"""A bundle of facts about a daemon for those who help its operator, without secrets and without payloads."""

from __future__ import annotations

import io
import os
import re
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import orjson

from retrainer.cli import show
from retrainer.cli.session import Session, remote
from retrainer.cli.support_parts import MissingPart, Part, of_daemon, of_files, of_machine
from retrainer.config.load import validate
from retrainer.config.load_settings import settings_at
from retrainer.telemetry.redact import redact, redact_text
from retrainer.telemetry.secrets import SECRETS
from retrainer.util.clock import SystemClock
from retrainer.util.new_file import new_file
from retrainer.util.timefmt import moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from retrainer.cli.client import ApiClient

TIMEOUT = 5.0
"""Seconds for each request: a daemon that hangs may not answer at all."""
SHORTEST_VARIABLE = 6
"""Minimum characters of a variable that is taken for a secret by its name: `true` is none."""
_SECRET_VARIABLE = re.compile(r"passw(or)?d|secret|token|key|credential|auth", re.IGNORECASE)


@click.command()
@click.argument("target", metavar="TO", type=click.Path(path_type=Path))
@click.option(
    "-c",
    "--config",
    "place",
    metavar="FILE",
    envvar="RETRAINER_CONFIG",
    show_envvar=True,
    default="retrainer.yaml",
    help="The daemon's settings.",
)
@remote
def support(session: Session, target: Path, place: str) -> None:
    """Write TO, a .tar.gz with facts about the daemon and its configuration, to be sent to those who help.

    It contains no secrets and no payloads. Parts that cannot be had, as when the daemon does not answer, are left out;
    MANIFEST.json says which, and why. Look into it before you send it. An existing file is not overwritten.

    Example: retrainer support bundle.tar.gz -c retrainer.yaml
    """
    at = SystemClock().now()
    _learn_secrets(session, place)
    try:
        with new_file(target) as draft:
            manifest = _write(draft, [*of_machine(), *of_files(place, settings_at(place)), *_of_daemon(session)], at)
            size = draft.stat().st_size
    except OSError as error:
        raise session.failure(f"{target}: {error.strerror or error}") from None
    answer = {"path": str(target), "bytes": size, **manifest}
    session.print(answer, lambda console: _print(console, answer))


def _learn_secrets(session: Session, place: str) -> None:
    """Mask from now on each secret that is known here: of the configuration, the environment and the command line."""
    for name, value in os.environ.items():
        if _SECRET_VARIABLE.search(name) and len(value) >= SHORTEST_VARIABLE:
            SECRETS.hide(value)
    validate(place)  # reads all secrets that the configuration refers to
    if session.token is not None:
        SECRETS.hide(session.token)


def _of_daemon(session: Session) -> Iterator[Part]:
    def client() -> ApiClient:
        made = session.client
        if session.token is not None:  # it may have been read from a file
            SECRETS.hide(session.token)
        made.limit(TIMEOUT)
        return made

    return of_daemon(client)


def _write(draft: Path, parts: list[Part], at: float) -> dict[str, Any]:
    """Write all parts that can be had. Return the manifest."""
    contains, missing = [], []
    with tarfile.open(draft, "w:gz") as bundle:
        for part in parts:
            try:
                content = _redacted(part.make())
            except Exception as error:  # noqa: BLE001 - one part that fails does not prevent the others
                missing.append({"file": part.file, "reason": _reason(error)})
            else:
                _add(bundle, part.file, content, at)
                contains.append(
                    {"file": part.file, "bytes": len(content), "contains": redact_text(part.contains, SECRETS)}
                )
        manifest = {"created_at": moment(at), "contains": contains, "missing": missing}
        _add(bundle, "MANIFEST.json", orjson.dumps(manifest, option=orjson.OPT_INDENT_2), at)
    return manifest


def _redacted(value: Any) -> bytes:
    if isinstance(value, str):
        return redact_text(value, SECRETS).encode()
    return orjson.dumps(redact(value, SECRETS), option=orjson.OPT_INDENT_2)


def _reason(error: Exception) -> str:
    known = isinstance(error, MissingPart | click.ClickException | OSError)
    return redact_text(str(error) if known else f"{type(error).__name__}: {error}", SECRETS)


def _add(bundle: tarfile.TarFile, name: str, content: bytes, at: float) -> None:
    entry = tarfile.TarInfo(f"retrainer-support/{name}")
    entry.size, entry.mtime, entry.mode = len(content), int(at), 0o600
    bundle.addfile(entry, io.BytesIO(content))


def _print(console: Console, answer: dict[str, Any]) -> None:
    console.print(
        f"{answer['path']}: {show.many(len(answer['contains']), 'part')}, {answer['bytes']} bytes", soft_wrap=True
    )
    for part in answer["missing"]:
        console.print(show.clean(f"without {part['file']}: {part['reason']}"), soft_wrap=True)
    console.print("Look into it before you send it: names of rules, servers and folders are in it.", soft_wrap=True)
