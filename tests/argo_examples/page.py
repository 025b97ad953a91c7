"""The page of the docs that lists the examples."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from tests.argo_examples.examples import version
from tests.argo_examples.needs import PROGRAM, SERVER
from tests.argo_examples.trial import DELIBERATE, LOTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.argo_examples.trial import Trial

PAGE = "docs/reference/argo-examples.md"
LONGEST = 160
_RELATIVE = (
    "its image works in `/`, where the artifact is expected; here a step works in the project (`workingDir: /` runs)"
)
REASONS = dict.fromkeys(
    ("conditional-artifacts", "dag-conditional-artifacts", "exit-handler-with-artifacts"), _RELATIVE
)
"""Why an example does not end as it is meant to, where its message does not say it, or is not always the same."""


def page(trials: Sequence[Trial]) -> str:
    """Return the page: the figures, and a line for each example."""
    workflows = [trial for trial in trials if trial.example.templates or trial.example.runs or trial.example.unreadable]
    rows = "".join(f"| `{trial.example.name.removesuffix('.yaml')}` | {outcome(trial)} |\n" for trial in workflows)
    return f"""# Argo's examples on the local engine

The examples of Argo Workflows {version()}, each tried on the [local engine](../how-to/local-engine.md). A Workflow, and
the Workflow of a CronWorkflow, is tried as a template. The page is generated; a test compares it.

{_figures(workflows)}
- *Runs*: it ends as it is meant to. Most succeed; {_named(DELIBERATE)} are meant to fail; {_named(LOTS)}
  succeed or fail at random; `forever` is meant to be still running. Sleeps take a tenth, except where time is the
  subject.
- *Needs*: a program of its image that the machine of the trial lacks, or a server. It is validated, not run.
  *Valid*: it would run where it has what it needs.
- Not counted in row 2, as their programs are missing: {_excluded(workflows)}.
- Not counted in row 3: those that are refused and need a storage, an object of a cluster, a database, a person
  or the Internet.

| example | result |
| --- | --- |
{rows}"""


def _named(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in sorted(names))


def _excluded(trials: Sequence[Trial]) -> str:
    first = Counter(_group(trial.lacks[PROGRAM][0]) for trial in trials if trial.lacks[PROGRAM])
    return ", ".join(f"{count} for {what}" for what, count in sorted(first.items(), key=lambda one: (-one[1], one[0])))


def _group(what: str) -> str:
    return "the entrypoint of an image" if what.startswith("the entrypoint") else what


def _figures(trials: Sequence[Trial]) -> str:
    possible = [trial for trial in trials if trial.possible]
    alone = [trial for trial in possible if trial.alone]
    lines = [
        ("all examples", len(trials), sum(trial.runs for trial in trials)),
        ("whose programs the test machine has", len(possible), sum(trial.runs for trial in possible)),
        ("and they need no server", len(alone), sum(trial.runs for trial in alone)),
    ]
    rows = "".join(f"| {what} | {of} | {runs} | {100 * runs // of} % |\n" for what, of, runs in lines)
    return "| of | examples | run to their end | |\n| --- | --- | --- | --- |\n" + rows


def outcome(trial: Trial) -> str:
    """Return the result of an example in one line."""
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
    ends = "; ".join(f"{phase}: {message}" for phase, message in trial.ends)
    return f"does not end as meant: {REASONS.get(trial.example.name.removesuffix('.yaml')) or _cell(ends)}"


def _cell(text: str) -> str:
    short = text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
    return " ".join(short.replace("|", "\\|").replace("<", "&lt;").split())
