"""Checks configuration files."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.connection import CommandError
from retrainer.cli.session import Session, local
from retrainer.config.load import validate as check
from retrainer.config.load_settings import settings_at
from retrainer.config.load_team import validate_team

if TYPE_CHECKING:
    from rich.console import Console

    from retrainer.config.configuration import Configuration
    from retrainer.config.settings import Settings


@click.command()
@click.argument("path", type=click.Path(exists=True), default=".")
@click.option("--cluster", is_flag=True, help="Also check the rules against the templates of the cluster.")
@click.option("--ignore-environment", is_flag=True, help="Do not report secrets that are missing on this machine.")
@click.option(
    "--team",
    metavar="NAMESPACE",
    help="Check as the rules of the team in this namespace; implies --ignore-environment.",
)
@click.option("--platform", type=click.Path(exists=True), help="With --team: rule files of the platform, as for PATH.")
@local
def validate(
    session: Session, path: str, cluster: bool, ignore_environment: bool, team: str | None, platform: str | None
) -> None:
    """Check configuration files, and report their mistakes.

    PATH is the daemon's settings (then with the rules they name), a rule file, or a folder of either. With --team it
    may also be a ConfigMap's manifest, or a folder of these.

    Example: retrainer validate retrainer.yaml --cluster
    """
    settings = None if team else settings_at(path)
    _fit(cluster, settings, team, platform)
    configuration, problems = (
        validate_team(path, team, platform) if team else check(path, ignore_environment=ignore_environment)
    )
    found: list[dict[str, Any]] = [problem.as_json() for problem in problems]
    shown, notes = [problem.render() for problem in problems], list[str]()
    if configuration is not None and settings is not None and (cluster or settings.engine.type == "local"):
        from retrainer.cli.templates import template_notes, template_problems  # noqa: PLC0415 - imports the clients

        notes = template_notes(settings)
        wrong = template_problems(settings, configuration)
        found += [problem.as_json() for problem in wrong]
        shown += [str(problem) if problem.file else problem.message for problem in wrong]
    if configuration is not None and not found and _is_empty(configuration) and not (settings and settings.config_maps):
        raise CommandError(
            f"{path}: there are no rules here: name the folder, or write a first rule with `retrainer init`"
        )
    if team and not platform and any(problem.kind == "reference" for problem in problems):
        shown.append("To check references to what the platform defines, give its rule files with `--platform PATH`.")
    answer = {"valid": not found, "problems": found, "notes": notes}
    shown += [f"note: {note}" for note in notes]
    session.print(answer, lambda c: _report(c, path, shown, len(found), configuration), code=1 if found else 0)


def _fit(cluster: bool, settings: Settings | None, team: str | None, platform: str | None) -> None:
    if cluster and team:
        raise click.UsageError("--cluster checks all rules of the daemon's settings: leave --team out")
    if cluster and settings is None:
        raise click.UsageError(
            "--cluster needs the daemon's settings, which say where the cluster is: name retrainer.yaml"
        )
    if platform and not team:
        raise click.UsageError("--platform needs --team NAMESPACE: it is only used for the rules of a team")


def _is_empty(configuration: Configuration) -> bool:
    """Whether the files define nothing at all, as if the path were a wrong one."""
    c = configuration
    return not (c.rules or c.sources or c.calendars or c.pools or c.budgets)


def _report(console: Console, path: str, shown: list[str], wrong: int, configuration: Configuration | None) -> None:
    show.problems(console, shown)
    if wrong:
        console.print(f"{show.many(wrong, 'problem')} in {path}", style="red")
    elif configuration is not None:
        console.print(f"{path} is valid: {show.many(len(configuration.rules), 'rule')}", style="green")
