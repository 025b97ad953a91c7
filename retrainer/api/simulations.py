"""What a changed rule would have done: simulations in a process of their own."""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from retrainer.api import drafts
from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context, Instant, RuleName, refusals
from retrainer.api.sight import Sees
from retrainer.api.simulation_views import MovableField, Simulation, SimulationLine, StartedSimulation
from retrainer.api.views import MOST, PRINTABLE, RequestBody
from retrainer.config.models import Rule
from retrainer.config.rule_text import place_of
from retrainer.rules.compile import CompiledRule
from retrainer.simulate.whatif.fields import as_value, is_movable, movable
from retrainer.simulate.whatif.job import StoreAddress, WhatIfJob
from retrainer.simulate.whatif.rule_items import as_item
from retrainer.simulate.whatif.simulations import Simulation as Known
from retrainer.simulate.whatif.simulations import TooManyError
from retrainer.sources.http.refusal import Refusal
from retrainer.store.scope import Scope

router = APIRouter(tags=["simulations"])
PERIOD = 30 * 86400.0
MOST_TOGETHER = 10
"""Maximum number of rules of a pool or budget that are played together."""
LONGEST_NAME = 63
MOST_FINDINGS = 5

Value = Annotated[str, Field(max_length=200, pattern=PRINTABLE)] | Annotated[float, Field(ge=-MOST, le=MOST)]
SimulationId = Annotated[str, Path(max_length=26)]


class SimulationRequest(RequestBody):
    rule: Annotated[str, Field(max_length=63, pattern=PRINTABLE, examples=["churn"])]
    changes: Annotated[dict[Annotated[str, Field(max_length=200, pattern=PRINTABLE)], Value], Field(max_length=20)] = {}
    """Values by their path in the rule, such as `limits.cooldown.period`. A number of a duration is in seconds."""
    text: Annotated[str, Field(max_length=100_000, pattern=PRINTABLE)] = ""
    """The whole text of the changed rule, in YAML, if it is more than a few values. Default: as in its file."""
    since: Instant | None = None
    """Begin of the period. Default: 30 days before its end."""
    until: Instant | None = None
    """End of the period. Default: now."""


@router.get("/rules/{rule}/fields", response_model=list[MovableField], responses=problems(404))
def list_fields(api: Context, rule: RuleName) -> Any:
    """The numbers of a rule that a simulation can move. A process for a simulation is started ahead."""
    with refusals():
        found = movable(_rule(api, rule).rule)
    api.simulations.warm()
    return [field._asdict() for field in found]


@router.post("/simulations", response_model=StartedSimulation, responses=problems(404, 409))
def start_simulation(api: Context, sees: Sees, asked: SimulationRequest) -> Any:
    """Play a rule as it is, and changed, on the same kept inputs, in a process of its own. Nothing is changed.

    One simulation runs at a time, and few wait.
    """
    if not sees.has_rule(asked.rule):
        raise Refusal(404, f"there is no rule {asked.rule!r}")
    with refusals():
        job = _job(api, sees, asked)
    try:
        return {"id": api.simulations.start(job).id}
    except TooManyError as error:
        raise Refusal(429, str(error), {"Retry-After": "5"}) from None


@router.get("/simulations", response_model=list[SimulationLine])
def list_simulations(api: Context, sees: Sees) -> Any:
    """Simulations that wait, run, or ended within an hour, the latest first. The results are not among them."""
    return [_line(one) for one in api.simulations.list(partial(_may_see, sees))]


@router.get("/simulations/{simulation}", response_model=Simulation, responses=problems(404))
def show_simulation(api: Context, sees: Sees, simulation: SimulationId) -> Any:
    """The progress of a simulation, and its result."""
    with refusals():
        found = api.simulations.find(simulation, partial(_may_see, sees))
    return {**_line(found), "result": found.result}


@router.delete("/simulations/{simulation}", status_code=204, responses=problems(404))
def cancel_simulation(api: Context, sees: Sees, simulation: SimulationId) -> None:
    """End a simulation, and forget it."""
    with refusals():
        api.simulations.cancel(simulation, partial(_may_see, sees))


def _rule(api: ApiContext, name: str) -> CompiledRule:
    found = api.engine.catalog.rules.get(name)
    if found is None:
        raise LookupError(f"there is no rule {name!r}")
    return found


def _may_see(sees: Scope, job: WhatIfJob) -> bool:
    """Whether a caller may see a simulation: its answer may name what those see who asked for it."""
    if sees.namespaces is None:
        return True
    return sees.has_rule(job.rule) and job.namespaces is not None and sees.namespaces.issuperset(job.namespaces)


def _check_reach(api: ApiContext, sees: Scope, asked: SimulationRequest, rule: Rule) -> None:
    """Raise ValueError if the changed rule may refer to what the caller does not see."""
    for path in asked.changes:
        if not is_movable(rule, path):
            raise ValueError(f"{path} is no number that can be moved: send the whole `text` of the changed rule")
    if not asked.text:
        return
    column = place_of(api.loaded().configuration, rule.name).column - 1
    found = drafts.validate(api, sees, "".join(as_item(asked.text, column)), rule.name, None)
    if found["findings"]:
        raise ValueError("; ".join(f"{one['path']}: {one['message']}" for one in found["findings"][:MOST_FINDINGS]))
    if found["rules"] != [rule.name]:
        raise ValueError(f"the text is of another rule: keep `name: {rule.name}`")


def _job(api: ApiContext, sees: Scope, asked: SimulationRequest) -> WhatIfJob:
    """Return the job, without the limits and the address of the store. Raise LookupError or ValueError."""
    rule, now = _rule(api, asked.rule).rule, api.engine.clock.now()
    if sees.limited:
        _check_reach(api, sees, asked, rule)
    until = min(asked.until.timestamp() if asked.until else now, now)
    since = asked.since.timestamp() if asked.since else until - PERIOD
    if since >= until:
        raise ValueError("since: the period is empty; choose a time before its end, which is at most now")
    rules = api.engine.catalog.rules
    sharing = [one for one, other in rules.items() if one != asked.rule and _share(rule, other.rule)]
    seen = sees.rules_of(sharing)
    together = seen if len(seen) <= MOST_TOGETHER else []
    companions = _companions(rules, asked.rule, together)
    return WhatIfJob(
        store=StoreAddress(),
        rule=asked.rule,
        changes={path: as_value(rule, path, value) for path, value in asked.changes.items()},
        text=asked.text,
        since=since,
        until=until,
        companions=companions,
        left_out=len(seen) - len(together),
        shadow=_free_name(asked.rule, rules),
        memory=0,
        seconds=0,
        namespaces=sorted(sees.namespaces) if sees.namespaces is not None else None,
        hidden=[name for name in companions if not sees.has_rule(name)],
        hidden_share=len(seen) < len(sharing),
    )


def _companions(rules: Mapping[str, CompiledRule], name: str, together: Collection[str]) -> list[str]:
    """Return the rules to play with a rule: those of ``together``, and those that all of them follow."""
    found: set[str] = set()
    ahead = [name, *together]
    while ahead:
        one = ahead.pop()
        if one not in found and one in rules:
            found.add(one)
            ahead += [after.after.rule for after in rules[one].afters.values()]
    return sorted(found - {name})


def _share(rule: Rule, other: Rule) -> bool:
    pool, budget = rule.limits.pool, rule.limits.budget
    return (pool is not None and other.limits.pool == pool) or (
        isinstance(budget, str) and other.limits.budget == budget
    )


def _free_name(rule: str, rules: Collection[str]) -> str:
    """Return a name for the shadow rule that no rule has."""
    ends = ("-what-if", *(f"-what-if-{n}" for n in range(2, len(rules) + 3)))
    names = (f"{rule[: LONGEST_NAME - len(end)].rstrip('-')}{end}" for end in ends)
    return next(name for name in names if name not in rules)


def _line(one: Known) -> dict[str, Any]:
    times = {name: getattr(one, name) for name in ("created_at", "started_at", "ended_at")}
    job = one.job
    asked = {"rule": job.rule, "changes": job.changes, "since": job.since, "until": job.until}
    return {"id": one.id, **asked, "phase": one.phase, "progress": one.share, "detail": one.words, **times}
