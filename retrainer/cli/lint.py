"""Finds what is valid in rules but most likely unintended."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.config.errors import shown
from retrainer.config.load import validate
from retrainer.config.load_settings import settings_at
from retrainer.config.shared_secrets import WAY_OUT, listeners, shared_secrets
from retrainer.engine.core.catalog import build_catalog
from retrainer.rules.lint import Advice
from retrainer.rules.lint import lint as advise
from retrainer.util.clock import SystemClock
from retrainer.workflows.rule_advice import advice_on_workflow

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from retrainer.config.configuration import Configuration


@click.command()
@click.argument("path", type=click.Path(exists=True), default=".")
@click.option("--templates", type=click.Path(exists=True, file_okay=False), help="Folder of workflow templates.")
@local
def lint(session: Session, path: str, templates: str | None) -> None:
    """Find what is valid in rules, but most likely not intended.

    Rules that can never fire, rules that race for one template, parameters that a template inserts into a script,
    sources that share a secret that signs only the body.
    PATH is as for `validate`. The templates are those of --templates, or of the local engine's folder.

    Example: retrainer lint rules/ --templates templates/
    """
    configuration, problems = validate(path, ignore_environment=True)
    if configuration is None:
        session.print(
            {"valid": False, "advice": []}, lambda c: show.problems(c, [p.render() for p in problems]), code=2
        )
        return
    folder = Path(templates) if templates else _folder(path)
    rules = list(build_catalog(configuration, frozenset()).rules.values())
    advice = list(advise(rules, SystemClock().now(), configuration.pools))
    advice += [one for rule in configuration.rules for one in advice_on_workflow(rule, folder)]
    found = [_told(configuration, "rules", one) for one in advice]
    found += [_told(configuration, "sources", one) for one in _shared(configuration)]
    session.print(
        {"valid": True, "advice": found}, lambda console: _report(console, path, found), code=1 if found else 0
    )


def _folder(path: str) -> Path | None:
    settings = settings_at(path)
    return Path(settings.engine.templates) if settings is not None and settings.engine.type == "local" else None


def _shared(configuration: Configuration) -> Iterator[Advice]:
    for name, other in shared_secrets(listeners(configuration.sources)):
        yield Advice(
            name,
            "hmac",
            f"{other} has the same secret: a request signed by its body alone and sent to both is refused by the "
            "second",
            WAY_OUT,
        )


def _told(configuration: Configuration, part: str, advice: Advice) -> dict[str, str]:
    where = shown(configuration.positions.get(f"{part}.{advice.rule}", ""))
    return {"where": where, **advice._asdict()}


def _report(console: Console, path: str, found: list[dict[str, str]]) -> None:
    for one in found:
        line = f"{one['where']}: {one['rule']}.{one['path']}: {one['message']} ({one['hint']})"
        console.print(show.clean(line), soft_wrap=True)
    if not found:
        console.print(f"{path}: nothing found", style="green")
