"""The verb that each route of the API needs. A token has verbs; a route that is not listed here is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from starlette.routing import compile_path

if TYPE_CHECKING:
    import re
    from collections.abc import Mapping

    from retrainer.config.settings import Verb

VERBS: Final[Mapping[Verb, tuple[str, ...]]] = {
    "read": (
        "GET /api/v1/rules",
        "GET /api/v1/rule-facets",
        "GET /api/v1/rules/{rule}",
        "GET /api/v1/rules/{rule}/keys",
        "GET /api/v1/rules/{rule}/pending",
        "GET /api/v1/rules/{rule}/pending/events",
        "GET /api/v1/rules/{rule}/source",
        "GET /api/v1/rules/{rule}/tests",
        "GET /api/v1/rules/{rule}/series",
        "GET /api/v1/rules/{rule}/backfills",
        "GET /api/v1/rules/{rule}/requests",
        "POST /api/v1/rules/{rule}/explain",
        "POST /api/v1/validate",
        "GET /api/v1/runs",
        "GET /api/v1/runs/{run}",
        "GET /api/v1/runs/{run}/inputs",
        "GET /api/v1/runs/{run}/manifest",
        "GET /api/v1/runs/{run}/logs",
        "GET /api/v1/runs/{run}/workflow",
        "GET /api/v1/runs/{run}/chain",
        "GET /api/v1/events",
        "GET /api/v1/events/find",
        "GET /api/v1/events/density",
        "GET /api/v1/events/{seq}",
        "GET /api/v1/activity",
        "GET /api/v1/decisions",
        "GET /api/v1/slots",
        "GET /api/v1/upcoming",
        "GET /api/v1/limits",
        "GET /api/v1/dead-letters",
        "GET /api/v1/dead-letters/{number}",
        "GET /api/v1/sources",
        "GET /api/v1/sources/{source}",
        "GET /api/v1/sources/{source}/replay",
        "GET /api/v1/store/last-backup",
        "GET /api/v1/status",
        "GET /api/v1/changes",
        "GET /api/v1/overview",
        "GET /api/v1/threads",
        # They change nothing. What they cost is bounded: one at a time, after all other processes.
        "GET /api/v1/rules/{rule}/fields",
        "POST /api/v1/simulations",
        "GET /api/v1/simulations",
        "GET /api/v1/simulations/{simulation}",
        "DELETE /api/v1/simulations/{simulation}",
        "GET /-/log-level",
        "GET /-/session",
        "POST /-/session",
        "DELETE /-/session",
        "GET /api/v1/openapi.json",
    ),
    "act": (
        "POST /api/v1/rule-acts",
        "POST /api/v1/rules/{rule}/trigger",
        "DELETE /api/v1/rules/{rule}/trigger",
        "POST /api/v1/rules/{rule}/backfills",
        "DELETE /api/v1/rules/{rule}/backfills",
        "POST /api/v1/rules/{rule}/pause",
        "POST /api/v1/rules/{rule}/resume",
        "POST /api/v1/runs/{run}/cancel",
        "POST /api/v1/runs/{run}/retry",
        "POST /api/v1/runs/{run}/feedback",
    ),
    "administer": (
        "POST /api/v1/state/import",
        "POST /api/v1/dead-letters/replay",
        "POST /api/v1/dead-letters/discard",
        "POST /api/v1/sources/{source}/reset",
        "POST /api/v1/sources/{source}/replay",
        "DELETE /api/v1/sources/{source}/replay",
        "POST /api/v1/store/backup",
        "PUT /api/v1/store/last-backup",
        "POST /-/reload",
        "PUT /-/log-level",
    ),
}


def _compiled() -> dict[str, list[tuple[re.Pattern[str], str, Verb]]]:
    by_method: dict[str, list[tuple[re.Pattern[str], str, Verb]]] = {}
    for verb, routes in VERBS.items():
        for route in routes:
            method, _, path = route.partition(" ")
            by_method.setdefault(method, []).append((compile_path(path)[0], route, verb))
    return by_method


_ROUTES = _compiled()


def route_of(method: str, path: str) -> tuple[str, Verb] | None:
    """Return the route of a request, as in `VERBS`, and the verb that it needs; None if there is no such route."""
    for pattern, route, verb in _ROUTES.get("GET" if method == "HEAD" else method, ()):
        if pattern.match(path):
            return route, verb
    return None
