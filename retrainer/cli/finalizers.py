"""Removes our finalizers after a daemon was uninstalled."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from retrainer.cli import show
from retrainer.cli.session import Session, local
from retrainer.config.errors import ConfigErrors
from retrainer.config.load_settings import load_settings
from retrainer.config.settings import ArgoEngine as Settings

if TYPE_CHECKING:
    from rich.console import Console

    from retrainer.workflows.argo.engine import ArgoEngine


@click.group()
def finalizers() -> None:
    """Remove the finalizer from Workflows that no daemon watches any more."""


@finalizers.command()
@click.option("-c", "--config", type=click.Path(exists=True, dir_okay=False), help="Settings of the removed daemon.")
@click.option("--namespace", "namespaces", multiple=True, help="Namespace to search; may be repeated.")
@click.option("--instance", help="Name of the removed daemon.")
@click.option("--kubeconfig", type=click.Path(exists=True, dir_okay=False), help="Kubeconfig of the cluster.")
@click.option("--stop", metavar="NAMESPACE/DEPLOYMENT", help="Deployment of the daemon, scaled to zero first.")
@click.option("--skip-forbidden", is_flag=True, help="Skip namespaces that may not be read or do not exist any more.")
@click.option("--dry-run", is_flag=True, help="Only list the Workflows that have the finalizer.")
@local
def release(
    session: Session,
    config: str | None,
    namespaces: tuple[str, ...],
    instance: str | None,
    kubeconfig: str | None,
    stop: str | None,
    skip_forbidden: bool,
    dry_run: bool,
) -> None:
    """Remove our finalizer from all Workflows of a daemon that was removed permanently.

    Active Workflows continue; their results are not recorded. Stop the daemon first, or name its Deployment in --stop:
    a running daemon removes the finalizer itself, once it has recorded the result, and puts it on new Workflows.

    Example: retrainer finalizers release -c retrainer.yaml --dry-run
    """
    settings, name = _who(session, config, namespaces, instance, kubeconfig)
    if stop and not dry_run:
        _stop(session, settings, stop)
    found, failed, skipped = _release(settings, name, dry_run)
    if not skip_forbidden:
        failed, skipped = failed + skipped, []
    answer = {"instance": name, "dry_run": dry_run, "held": found, "failed": failed, "skipped": skipped}
    session.print(answer, lambda console: _report(console, answer), code=1 if failed else 0)


def _who(
    session: Session, config: str | None, namespaces: tuple[str, ...], instance: str | None, kubeconfig: str | None
) -> tuple[Settings, str]:
    """Return engine settings and instance name, from the settings file or from the options."""
    if config is None:
        if not namespaces or instance is None:
            raise click.UsageError("give either --config, or --instance and --namespace")
        return Settings(type="argo", namespaces=list(namespaces), kubeconfig=kubeconfig), instance
    try:
        settings = load_settings(config)
    except ConfigErrors as errors:
        raise session.failure(f"{config} is not valid\n\n{errors}") from None
    if not isinstance(settings.engine, Settings):
        raise session.failure(f"{config}: an engine of type {settings.engine.type} has no finalizers")
    given: dict[str, Any] = {"namespaces": list(namespaces)} if namespaces else {}
    given |= {"kubeconfig": kubeconfig} if kubeconfig else {}
    return settings.engine.model_copy(update=given), instance or settings.name


def _stop(session: Session, settings: Settings, deployment: str) -> None:
    """Stop the daemon, so that it puts no finalizer on new Workflows."""
    from retrainer.workflows.argo.api_server import ApiServer  # noqa: PLC0415 - imports the cluster clients
    from retrainer.workflows.argo.deployment import stop  # noqa: PLC0415
    from retrainer.workflows.base import WorkflowError  # noqa: PLC0415

    namespace, _, name = deployment.partition("/")
    if not namespace or not name:
        raise click.UsageError(f"--stop {deployment}: write NAMESPACE/DEPLOYMENT")
    try:
        stop(ApiServer(settings.kubeconfig, connections=1, timeout=settings.request_timeout), namespace, name)
    except WorkflowError as error:
        raise session.failure(f"{deployment} was not stopped: {error}") from None


def _release(settings: Settings, instance: str, dry_run: bool) -> tuple[list[str], list[str], list[str]]:
    """Return the Workflows that had our finalizer; as text, the failures and the namespaces that may not be read.

    A namespace that was deleted may not be read either: its Role was deleted with it.
    """
    from retrainer.workflows.argo.engine import ArgoEngine  # noqa: PLC0415 - imports the cluster clients
    from retrainer.workflows.argo.errors import FORBIDDEN  # noqa: PLC0415
    from retrainer.workflows.base import WorkflowError  # noqa: PLC0415

    engine = ArgoEngine(settings, instance)
    found: list[str] = []
    failed: list[str] = []
    skipped: list[str] = []
    for namespace in settings.namespaces:
        try:
            found += _release_in(engine, namespace, dry_run)
        except WorkflowError as error:
            (skipped if error.code == FORBIDDEN else failed).append(f"namespace {namespace}: {error}")
    return found, failed, skipped


def _release_in(engine: ArgoEngine, namespace: str, dry_run: bool) -> list[str]:
    workflows = list(engine.held(namespace))
    for workflow in workflows:
        if not dry_run:
            engine.release(namespace, workflow.name, workflow.uid)
    return [f"{namespace}/{workflow.name}" for workflow in workflows]


def _report(console: Console, answer: dict[str, Any]) -> None:
    show.table(
        console,
        ("WORKFLOW",),
        ((name,) for name in answer["held"]),
        f"no Workflow has the finalizer of {answer['instance']}",
    )
    if answer["held"] and not answer["failed"]:
        console.print(f"{len(answer['held'])} {'would be released' if answer['dry_run'] else 'released'}")
    for words in answer["failed"]:
        console.print(words, style="red", soft_wrap=True)
    for words in answer["skipped"]:
        console.print(f"skipped {words}", style="yellow", soft_wrap=True)
