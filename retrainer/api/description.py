"""The OpenAPI description. What holds for every operation is added here: errors, the token, limits of requests."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from retrainer.api.views import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fastapi import FastAPI

_DESCRIPTION = """\
Times are RFC 3339 in UTC. Lists are paged: ask again with `cursor` set to `next` until it is null; a cursor means
nothing else. Errors are problem details (RFC 9457, `application/problem+json`). With `http.token` or
`http.tokens` set, send one as `Authorization: Bearer …`: what belongs to other namespaces does not exist for it,
and each route needs a verb. Webhooks listen under `/hooks/`, where the configuration says."""
_TAGS = {
    "rules": "What the rules decide, why, and what an operator asks of them.",
    "runs": "The Workflows that were started, their inputs and outputs.",
    "sources": "Where events come from, and how far each source was read.",
    "ledger": "What happened: events, decisions, slots of schedules, and input that could not be processed.",
    "simulations": "What a changed rule would have done.",
    "daemon": "The process itself.",
    "webhooks": "Where senders deliver events.",
}
_MEANING = {
    400: "The body is not JSON, or has integers beyond 64 bits",
    401: "The token is missing or wrong",
    403: "The token lacks the verb `read`, `act` or `administer`, or a web page of another origin sent the request",
    404: "There is no such thing, or it was pruned",
    405: "Another method is needed",
    408: "The body took too long",
    409: "As described, but not possible with the rules, runs and sources as they are now",
    413: "The body is too large",
    415: "The content type is not that of the description",
    421: "This name of the host is not allowed (`http.allowed_hosts`)",
    422: "Not as described here: `errors` names each field or parameter",
    429: "Too many requests with wrong credentials from this address",
    503: "Not now: send it again after `Retry-After` seconds",
    507: "Too little space on the volume of the store",
}
_OF_ALL, _OF_READERS, _OF_CHANGES = (421,), (401, 403, 429, 503), (400, 401, 403, 408, 413, 415, 429, 503)
_HEADERS = {
    401: {"WWW-Authenticate": "How to authenticate"},
    405: {"Allow": "The methods of this path"},
    503: {"Retry-After": "Seconds"},
}
_PAGE = re.compile(r"Page_(\w+?)_(?=\")")
"""The name that pydantic gives to `Page[Run]`."""
_LISTED = {
    "rule": ("list_rules", "name"),
    "run": ("list_runs", "id"),
    "source": ("list_sources", "name"),
    "seq": ("list_events", "seq"),
    "number": ("list_dead_letters", "id"),
}
"""For each parameter of paths: which list has its values, and in which field."""
_STREAMED = ("follow_changes", "show_manifest", "show_logs")
"""Operations whose answers have no tag: they are sent before they are complete."""
_REF = "#/components/schemas/{model}"
_PROBLEM = {"application/problem+json": {"schema": {"$ref": _REF.format(model="Problem")}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return responses that an operation has beside those that all have, for `responses` of a route."""
    return {status: _problem(status) for status in statuses}


def _problem(status: int) -> dict[str, Any]:
    string = {"type": "string"}
    headers = {name: {"description": text, "schema": string} for name, text in _HEADERS.get(status, {}).items()}
    return {"description": _MEANING[status], "content": _PROBLEM, **({"headers": headers} if headers else {})}


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the description of an application."""
    described = get_openapi(
        title="retrainer",
        version="v1",
        description=_DESCRIPTION,
        routes=app.routes,
        tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
        separate_input_output_schemas=app.separate_input_output_schemas,
    )
    schemas = described["components"]["schemas"]
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    schemas |= models_json_schema([(Problem, "serialization")], ref_template=_REF)[1]["$defs"]
    for path, method, operation in _operations(described):
        _complete(path, method, operation)
    _link(described)
    named: dict[str, Any] = orjson.loads(_PAGE.sub(r"\1Page", orjson.dumps(described).decode()))
    return named


def _operations(described: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in described["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


def _complete(path: str, method: str, operation: dict[str, Any]) -> None:
    responses = operation["responses"]
    if "422" in responses:  # FastAPI adds its own to operations with parameters or a body
        responses["422"] = _problem(422)
    for status in _statuses(path, method):
        responses.setdefault(str(status), _problem(status))
    if method == "get" and path.startswith("/api/") and operation["operationId"] not in _STREAMED:
        responses["304"] = {"description": "The client has this answer: its ETag is in If-None-Match"}
        responses["200"]["headers"] = {"ETag": {"description": "Tag of the answer", "schema": {"type": "string"}}}
    operation["responses"] = dict(sorted(responses.items()))
    for response in responses.values():
        for content in response.get("content", {}).values():
            _only_the_model(content["schema"])
    for parameter in operation.get("parameters", ()):
        parameter["schema"] = _given(parameter["schema"])


def _only_the_model(schema: dict[str, Any]) -> None:
    """FastAPI describes streams as text, also where there is a model."""
    if "$ref" in schema:
        schema.pop("type", None)


def _link(described: dict[str, Any]) -> None:
    """Say which lists have what the paths of other operations name."""
    operations = {operation["operationId"]: (path, operation) for path, _, operation in _operations(described)}
    for parameter, (listing, field) in _LISTED.items():
        links = {
            name: {"operationId": name, "parameters": {parameter: f"$response.body#/items/0/{field}"}}
            for name, (path, _) in operations.items()
            if f"{{{parameter}}}" in path
        }
        operations[listing][1]["responses"]["200"]["links"] = links


def _statuses(path: str, method: str) -> tuple[int, ...]:
    if path.startswith(("/api/", "/-/")):
        return (*_OF_ALL, *(_OF_READERS if method == "get" else _OF_CHANGES))
    return _OF_ALL


def _given(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that is not given is left out: null cannot be sent."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    return {**{name: value for name, value in schema.items() if name != "anyOf"}, **kinds[0]} if kinds else schema
