"""The text of rules, and checks of a text that is not in force."""

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import ConfigDict, Field

from retrainer.api import drafts
from retrainer.api.daemon import DroppedState
from retrainer.api.description import problems
from retrainer.api.parameters import Context, RuleName, refusals
from retrainer.api.sight import Sees
from retrainer.api.views import PRINTABLE, Moment, RequestBody, View
from retrainer.config.draft import LONGEST
from retrainer.sources.http.refusal import Refusal

router = APIRouter(tags=["rules"])


class Finding(View):
    """A mistake, as `retrainer validate` reports it."""

    file: str
    line: int
    """From 1, in the file."""
    column: int
    """From 1."""
    path: str
    """The field, such as `rules[2].submit.timeout`; for the text of one rule `submit.timeout`."""
    message: str
    hint: str
    """What to write instead."""


class LintAdvice(View):
    """What is valid, but most likely not intended, as `retrainer lint` reports it."""

    rule: str
    line: int
    """Of the rule, in the file."""
    path: str
    message: str
    hint: str


class KeptRevision(View):
    revision: str
    since: Moment
    """When it was first loaded."""
    in_force: bool


class RuleSource(View):
    rule: str
    revision: str
    in_force: bool
    file: str
    line: int
    """The first line of the text in the file, from 1."""
    text: str
    """The lines of the rule in its file, with their comments."""
    inherits: list[str]
    """Where fields come from that are not in the text."""
    problems: list[Finding]
    """Mistakes of the file as it is now: while it has some, its last good text is in force."""
    revisions: list[KeptRevision]
    """The revisions whose text is kept, newest first."""


class ValidateRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"rule": "churn", "text": "  - name: churn\n    triggers: {}\n"}, {"text": "version: 1\n"}]
        }
    )

    text: Annotated[str, Field(max_length=LONGEST + 1)]
    """The text of a rule file; with `rule`, only the lines of this rule."""
    rule: Annotated[str, Field(max_length=63, pattern=PRINTABLE)] | None = None
    """A rule in force, whose lines the text replaces in its file."""
    file: Annotated[str, Field(max_length=1024, pattern=PRINTABLE)] | None = None
    """The file in force that the text replaces; if not given, the text is another file."""


class Validation(View):
    valid: bool
    findings: list[Finding]
    advice: list[LintAdvice]
    """Only of a valid text."""
    rules: list[str]
    """Rules that a valid text defines."""
    changed: list[str]
    """Those of them whose revision is not the one in force."""
    dropped: list[DroppedState]
    """State that loading the text would drop."""


@router.get("/rules/{rule}/source", response_model=RuleSource, responses=problems(404))
def show_rule_source(
    api: Context,
    sees: Sees,
    rule: RuleName,
    revision: Annotated[
        str | None, Query(max_length=64, pattern=PRINTABLE, description="Of a run; the one in force if not given")
    ] = None,
) -> Any:
    """The text of a rule as it stands in its file, or as it was for an earlier revision, if that is kept."""
    with refusals():
        found = drafts.source(api, sees, rule, revision)
    return found | {"problems": [] if sees.limited else found["problems"]}


@router.post("/validate", response_model=Validation, responses=problems(404, 409))
def validate_text(api: Context, sees: Sees, draft: ValidateRequest) -> Any:
    """Check a text beside the rule files in force, as `retrainer validate` and `lint` do. Changes nothing.

    Whether secrets and files of the daemon's machine exist is not checked.
    """
    if draft.rule is not None and not sees.has_rule(draft.rule):
        raise Refusal(404, f"there is no rule {draft.rule!r}")
    with refusals():
        return drafts.validate(api, sees, draft.text, draft.rule, draft.file)
