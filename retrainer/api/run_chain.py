"""The runs around a run: what it follows, its other attempts, and the runs of the rules that follow it."""

from collections.abc import Iterator
from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import Field

from retrainer.api.context import ApiContext
from retrainer.api.description import problems
from retrainer.api.parameters import Context
from retrainer.api.runs import KnownRun
from retrainer.api.sight import Sees
from retrainer.api.views import Id, Moment, Phase, View
from retrainer.sources.http.refusal import Refusal
from retrainer.store import related
from retrainer.store.scope import Scope
from retrainer.util.counts import many

router = APIRouter(prefix="/runs", tags=["runs"])
MOST = 50
UPSTREAM = 10


class RelatedRun(View):
    relation: Literal["upstream", "attempt", "this", "downstream"]
    """`attempt`: another attempt of the same chain."""
    depth: Annotated[int, Field(ge=0)]
    """Number of runs that it follows, of those shown."""
    rule: str
    key: str = ""
    id: Id | None = None
    """null: the rule follows, and has no run for it."""
    phase: Phase | None = None
    attempt: int | None = None
    created_at: Moment | None = None
    ended_at: Moment | None = None


class RunChain(View):
    runs: list[RelatedRun]
    """The run that is followed before those that follow it; at most 50."""
    note: str
    """What is not shown; empty if that is nothing."""


@router.get("/{run}/chain", response_model=RunChain, responses=problems(404, 409))
def show_chain(api: Context, sees: Sees, run: KnownRun) -> Any:
    """The chain around a run: at most 10 runs that it follows, its attempts, and the runs that follow it."""
    this = api.read(related.brief, run, sees)
    if this is None:
        raise Refusal(404, f"there is no run {run}")
    above = list(_above(api, sees, this))[::-1]
    found = [_shown("upstream", depth, row) for depth, row in enumerate(above)]
    own = api.read(related.attempts, this["chain"], sees) or [this]
    found += [_shown("this" if row["id"] == run else "attempt", len(above), row) for row in own]
    found += _below(api, sees, own, len(above) + 1)
    note = f"more than {MOST} runs: the others are not shown" if len(found) > MOST else ""
    return {"runs": found[:MOST], "note": note or _looked_at(found)}


def _looked_at(found: list[dict[str, Any]]) -> str:
    if not any(row["relation"] == "downstream" for row in found):
        return ""
    return (
        f"of each rule that follows, the first {many(related.FOLLOWERS, 'run')} after the end of this one are looked at"
    )


def _above(api: ApiContext, sees: Scope, row: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for _ in range(UPSTREAM):
        upstream = row["cause"].get("upstream")
        found = api.read(related.brief, upstream, sees) if upstream else None
        if found is None:
            return
        yield (row := found)


def _below(api: ApiContext, sees: Scope, own: list[dict[str, Any]], depth: int) -> list[dict[str, Any]]:
    """Return the runs that follow those of a chain, each before what follows it; some more than are shown, at most."""
    found: list[dict[str, Any]] = []

    def follow(chain: list[dict[str, Any]], at: int) -> None:
        for rule in _followers(api, sees, chain[0]["rule"]):
            rows = _following(api, sees, chain, rule)
            if not rows:
                found.append({"relation": "downstream", "depth": at, "rule": rule})
            for attempts in _by_chain(rows):
                found.extend(_shown("downstream", at, row) for row in attempts)
                if len(found) > MOST:
                    return
                follow(attempts, at + 1)

    follow(own, depth)
    return found


def _by_chain(rows: list[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    chains: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        chains.setdefault(row["chain"], []).append(row)
    yield from chains.values()


def _followers(api: ApiContext, sees: Scope, rule: str) -> list[str]:
    return sorted({after.rule for after in api.engine.catalog.followers.get(rule, ()) if sees.has_rule(after.rule)})


def _following(api: ApiContext, sees: Scope, chain: list[dict[str, Any]], rule: str) -> list[dict[str, Any]]:
    ends = [row["ended_at"] for row in chain if row["ended_at"] is not None]
    ids = {row["id"] for row in chain}
    return api.read(related.followed, ids, rule, min(ends), sees) if ends else []


def _shown(relation: str, depth: int, row: dict[str, Any]) -> dict[str, Any]:
    return {**row, "relation": relation, "depth": depth}
