"""One act on many rules: pause, resume or trigger them, or see what that would do."""

from collections import Counter
from dataclasses import replace
from typing import Annotated, Any, get_args

from fastapi import APIRouter
from pydantic import ConfigDict, Field

from retrainer.api.acting import Acts
from retrainer.api.context import ApiContext
from retrainer.api.parameters import Context, IdempotencyKey
from retrainer.api.sight import Sees
from retrainer.api.views import PRINTABLE, Decided, Id, RequestBody, View
from retrainer.engine.commands import many_rules
from retrainer.engine.commands.many_rules import ManyRules, Result, Verb
from retrainer.telemetry.secrets import SECRETS

MOST = 500
"""Rules of one request."""

router = APIRouter(tags=["rules"])


class ManyRulesRequest(RequestBody):
    model_config = ConfigDict(
        json_schema_extra={"examples": [{"act": "pause", "rules": ["churn"], "note": "incident 7", "dry_run": True}]}
    )

    act: Verb
    rules: Annotated[
        list[Annotated[str, Field(min_length=1, max_length=63, pattern=PRINTABLE)]],
        Field(min_length=1, max_length=MOST),
    ]
    """Names of rules; one that is named twice counts once."""
    note: Annotated[str, Field(max_length=1000, pattern=PRINTABLE)] = ""
    """The reason: shown with rules that are paused, and recorded."""
    by: Annotated[str, Field(max_length=100, pattern=PRINTABLE)] = ""
    """Who requests it; stored with the runs."""
    dry_run: bool = False
    """Only show what would happen to each rule."""


class RuleAnswer(View):
    """What became of one rule, or what would."""

    rule: str
    result: Result
    """`waits`: a limit, pool or budget holds the run. `unchanged`: it was so already. `refused`: see `detail`."""
    detail: str
    decision: Decided | None = None
    """Of a trigger: what was decided."""
    reason: str = ""
    """Of a trigger: a word of docs/reference/reasons.md."""
    run: Id | None = None
    """The run that was created, if any."""


class ManyRulesAnswer(View):
    act: Verb
    dry_run: bool
    done: int
    waits: int
    unchanged: int
    refused: int
    items: list[RuleAnswer]
    """In the order of the request."""


@router.post("/rule-acts", response_model=ManyRulesAnswer)
def act_on_rules(
    api: Context, acts: Acts, sees: Sees, order: ManyRulesRequest, idempotency_key: IdempotencyKey = None
) -> Any:
    """Pause, resume or trigger many rules. Each has its own answer, and one that is refused does not stop the others.

    If a request is interrupted, repeat it with the same Idempotency-Key: it continues with the rest.
    """
    note = SECRETS.mask(order.note)
    record = acts.record_of(order.act, order.by, detail=note, dry_run=order.dry_run)
    many = ManyRules(order.act, record, note, acts.named(order.by), idempotency_key, order.dry_run)
    names = list(dict.fromkeys(order.rules))
    seen = [name for name in names if sees.has_rule(name)]
    answers = {answer["rule"]: answer for answer in many_rules.act_on_many(api.act, many, seen)}
    items = [_waiting(api, answers[name]) if name in answers else _unknown(name) for name in names]
    if not order.dry_run:
        for item in items:
            if item["result"] == "refused":
                api.activity.refused(replace(record, rule=item["rule"], detail=item["detail"]))
    counts = Counter(item["result"] for item in items)
    return {
        "act": order.act,
        "dry_run": order.dry_run,
        **{result: counts[result] for result in get_args(Result)},
        "items": items,
    }


def _unknown(name: str) -> dict[str, Any]:
    return {"rule": name, "result": "refused", "detail": f"there is no rule {name!r}"}


def _waiting(api: ApiContext, answer: dict[str, Any]) -> dict[str, Any]:
    """Add what a created run waits for. That is known only after the transaction has admitted runs."""
    if not answer.get("run"):
        return answer
    now = api.engine.clock.now()
    return many_rules.waiting(answer, api.read(many_rules.wait_of, api.engine.catalog, answer["run"], now))
