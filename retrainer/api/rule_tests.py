"""The tests of a rule, and an example of one made from its last run."""

from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter

from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context, RuleName
from retrainer.api.sight import Sees
from retrainer.api.views import View
from retrainer.config.errors import shown
from retrainer.config.rule_text import place_of
from retrainer.config.teams import team
from retrainer.simulate.find_cases import tests_of
from retrainer.sources.http.refusal import Refusal
from retrainer.store import queries
from retrainer.store.pages import PageRequest
from retrainer.telemetry.secrets import SECRETS

router = APIRouter(prefix="/rules", tags=["rules"])
MOST_EVENTS = 50
"""Events of a run that an example repeats."""
RUNS = 20
"""Latest runs that are searched for one that an example can be made of."""
_HEAD = """version: 1
rules: [{file}]
tests:
  - name: {name}
    start: {start}
    inputs:
{inputs}
    expect:
      - {{at: {end}, rule: {rule}, runs: [{run}]}}
"""


class RuleTest(View):
    name: str
    file: str
    line: int
    command: str
    """Runs the test. The daemon runs none, so it knows no result."""


class RuleTests(View):
    tests: list[RuleTest]
    """Tests that name the rule, in files named `*_test.yaml` in the folders of rule files."""
    example: str
    """A test file made from the last run that events started; empty if there is none."""


@router.get("/{rule}/tests", response_model=RuleTests, responses=problems(404))
def list_rule_tests(api: Context, sees: Sees, rule: RuleName) -> Any:
    """The tests of a rule, and an example of one made from its last run with events."""
    configuration = api.loaded().configuration
    if rule not in configuration.revisions:
        raise Refusal(404, f"there is no rule {rule!r}")
    own = sees.limited and team(place_of(configuration, rule).file) is not None
    found = [] if own else tests_of(api.settings.rules, rule)
    tests = [
        {
            "name": SECRETS.mask(case.name),
            "file": shown(case.file),
            "line": case.line,
            "command": f"retrainer test {shown(case.file)}",
        }
        for case in found
    ]
    return {"tests": tests, "example": _example(api, rule)}


def _example(api: ApiContext, rule: str) -> str:
    runs = api.read(queries.runs, rule=rule, page=PageRequest(limit=RUNS)).items
    for run in runs:
        inputs = api.read(queries.run_inputs, run["id"], PageRequest(limit=MOST_EVENTS + 1)).items
        if 0 < len(inputs) <= MOST_EVENTS and run["attempt"] == 1:
            return SECRETS.mask(_written(api, run, inputs))
    return ""


def _written(api: ApiContext, run: dict[str, Any], inputs: list[dict[str, Any]]) -> str:
    place = place_of(api.loaded().configuration, run["rule"])
    return _HEAD.format(
        file=_quoted(place.file.rsplit("/", 1)[-1]),
        name=_quoted(f"{run['rule']} fires as for run {run['id'][-6:]}"),
        start=_time(inputs[0]["at"] - 60),
        inputs="\n".join(f"      - {{at: {_time(event['at'])}, event: {_event(event)}}}" for event in inputs),
        end=_time(max(run["created_at"], inputs[-1]["at"]) + 1),
        rule=_quoted(run["rule"]),
        run=_quoted({"rule": run["rule"], "key": run["key"], "trigger": run["trigger"]}),
    )


def _event(event: dict[str, Any]) -> str:
    return _quoted({name: event[name] for name in ("source", "type", "subject", "data")})


def _quoted(value: object) -> str:
    """Return JSON, which is YAML too. A `&` or `<` needs no escape there: it is shown as text."""
    return orjson.dumps(value).decode()


def _time(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat(timespec="milliseconds")
