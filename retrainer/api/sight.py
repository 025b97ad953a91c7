"""What a caller may see: the rules and runs of its namespaces, and the sources that these rules use."""

from typing import Annotated

from fastapi import Depends
from starlette.requests import Request

from retrainer.api.context import ApiContext
from retrainer.api.forward import USER
from retrainer.api.guard import CALLER
from retrainer.api.rule_listing import sources_of
from retrainer.api.tokens import Caller
from retrainer.api.verbs import route_of
from retrainer.engine.core.catalog import Catalog
from retrainer.sources.http.refusal import Refusal
from retrainer.store.scope import ALL, Scope

LONGEST_NAME = 100


class Sights:
    """Computes what a caller sees, again whenever the rules have changed."""

    def __init__(self, context: ApiContext) -> None:
        self._context = context
        self._known: dict[frozenset[str], tuple[Catalog, Scope]] = {}

    def of(self, caller: Caller) -> Scope:
        if caller.namespaces is None:
            return ALL
        catalog = self._context.engine.catalog
        known = self._known.get(caller.namespaces)
        if known is None or known[0] is not catalog:
            known = self._known[caller.namespaces] = catalog, self._compute(catalog, caller.namespaces)
        return known[1]

    def _compute(self, catalog: Catalog, namespaces: frozenset[str]) -> Scope:
        own = {
            name: rule
            for name, rule in catalog.rules.items()
            if (rule.rule.submit.namespace or self._context.namespace) in namespaces
        }
        sources = {source for rule in own.values() for source in sources_of(rule)}
        return Scope(namespaces, frozenset(own), frozenset(sources))


def caller_of(request: Request) -> Caller:
    """Return the caller that the guard has checked."""
    caller: Caller = request.scope[CALLER]
    return caller


def user_of(request: Request) -> str:
    """Return whom a request names; nobody has checked that, unless its sender is a proxy which has."""
    return "".join(filter(str.isprintable, request.headers.get(USER, "")))[:LONGEST_NAME]


async def _sees(request: Request) -> Scope:
    sights: Sights = request.app.state.sights
    return sights.of(caller_of(request))


Sees = Annotated[Scope, Depends(_sees)]


async def check_place(request: Request, sees: Sees) -> None:
    """Refuse a rule or source of others like one that does not exist, and a route without a verb."""
    if route_of(request.method, request.scope["path"]) is None:
        raise Refusal(403, "no token permits this")
    for kind, sees_it in (("rule", sees.has_rule), ("source", sees.has_source)):
        name = request.path_params.get(kind)
        if name is not None and not sees_it(name):
            raise Refusal(404, f"there is no {kind} {name!r}")
