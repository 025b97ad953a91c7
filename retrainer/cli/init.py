"""`retrainer init`: the files of a new project."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrainer.cli.session import Session, local

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rich.console import Console

STARTER = Path(__file__).with_name("starter")
"""One folder for each engine, with the files as they are written."""
_HOLDS: Mapping[str, str] = {
    "README.md": "what is in this folder",
    "data/week-1.csv": "200 labelled customers as training data",
    "retrainer.yaml": "the settings of the daemon",
    "rules/churn.yaml": "one rule",
    "rules/churn_test.yaml": "its tests",
    "templates/churn-train.yaml": "the workflow that trains the model",
    "templates/service-account.yaml": "the service account of the workflow's steps",
}
_CHECKS = ("retrainer validate", "retrainer test", "retrainer lint")
_NEXT: Mapping[str, Sequence[str]] = {
    "local": (*_CHECKS, "retrainer run"),
    "argo": (*_CHECKS, "kubectl apply -n default -f templates/", "retrainer validate --cluster", "retrainer run"),
}


@click.command()
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
@click.option("--argo", is_flag=True, help="Write the files for a cluster with Argo Workflows, not for this machine.")
@local
def init(session: Session, folder: Path, argo: bool) -> None:
    """Write the files of a new project: settings, a rule with its tests, a workflow template.

    FOLDER is created if it does not exist. Existing files are never overwritten: if one of the files exists,
    nothing is written.

    Example: retrainer init my-models --argo
    """
    engine = "argo" if argo else "local"
    files = {name: (STARTER / engine / name).read_bytes() for name in _names(STARTER / engine)}
    existing = [name for name in files if (folder / name).exists() or (folder / name).is_symlink()]
    if existing:
        raise session.failure(
            f"{folder} already has {_listed(existing)}, and init overwrites nothing: name an empty folder, such as "
            "`retrainer init my-models`"
        )
    try:
        _write(folder, files)
    except OSError as error:
        raise session.failure(f"{error.filename}: {error.strerror}; name a writable folder") from None
    following = [*([] if folder == Path() else [f"cd {shlex.quote(str(folder))}"]), *_NEXT[engine]]
    written = {"folder": str(folder), "files": list(files), "next": following}
    session.print(written, lambda console: _report(console, folder, list(files), following))


def _names(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write all of them or, if one cannot be written, none. Raise OSError, also if one has been created meanwhile."""
    written: list[Path] = []
    try:
        for name, content in files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            with path.open("xb") as file:
                written.append(path)
                file.write(content)
    except OSError:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def _report(console: Console, folder: Path, names: Sequence[str], following: Sequence[str]) -> None:
    width = max(map(len, names))
    console.print(f"{len(names)} files written to {folder.resolve().name}:", soft_wrap=True)
    for name in names:
        console.print(f"  {name:<{width}}  {_HOLDS[name]}", soft_wrap=True)
    console.print("Next:")
    for command in following:
        console.print(f"  {command}", soft_wrap=True)
