"""The page of the docs that lists the examples."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.argo_examples.examples import version
from tests.argo_examples.needs import PROGRAM, SERVER

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.argo_examples.trial import Trial

PAGE = "docs/reference/argo-examples.md"
LONGEST = 160


def page(trials: Sequence[Trial]) -> str:
    """Return the page: the figures, and a line for each example."""
    workflows = [trial for trial in trials if trial.example.templates or trial.example.runs or trial.example.unreadable]
    rows = "".join(f"| `{trial.example.name.removesuffix('.yaml')}` | {outcome(trial)} |\n" for trial in workflows)
    return f"""# Argo's examples on the local engine

The examples of Argo Workflows {version()}, each tried on the [local engine](../how-to/local-engine.md). A Workflow, and
the Workflow of a CronWorkflow, is tried as a template. The page is generated; a test compares it.

{_figures(workflows)}
An example *needs* a program of its image that the machine of the trial lacks, or a server. It was validated, not run.
*Valid* means that the local engine would run it where these exist.

| example | result |
| --- | --- |
{rows}"""


def _figures(trials: Sequence[Trial]) -> str:
    possible = [trial for trial in trials if trial.possible]
    alone = [trial for trial in possible if trial.alone]
    lines = [
        ("all examples", len(trials), sum(trial.runs for trial in trials)),
        ("their programs exist on this machine", len(possible), sum(trial.runs for trial in possible)),
        ("and they need no server", len(alone), sum(trial.runs for trial in alone)),
    ]
    rows = "".join(f"| {what} | {of} | {runs} | {100 * runs // of} % |\n" for what, of, runs in lines)
    return "| of | examples | run to their end | |\n| --- | --- | --- | --- |\n" + rows


def outcome(trial: Trial) -> str:
    """Return what came of an example in one line."""
    needs = ", ".join([*trial.lacks[PROGRAM], *(trial.lacks[SERVER] if trial.refused else ())])
    if trial.refused:
        where, why = trial.refused[0]
        more = f", and {len(trial.refused) - 1} more" if len(trial.refused) > 1 else ""
        place = f"refused at `{where}`" if where else "refused"
        return f"{place}: {_cell(why)}{more}" + (f"; needs {needs}" if needs else "")
    if needs:
        return f"valid; needs {needs}"
    if not trial.ends:
        return "valid: templates for others"
    if trial.runs:
        return "runs"
    return f"does not end as meant: {_cell('; '.join(f'{phase}: {message}' for phase, message in trial.ends))}"


def _cell(text: str) -> str:
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return " ".join(short.replace("|", "\\|").replace("<", "&lt;").split())
