"""PURE: maps responses of the API server to the four errors of `base`.

A problem of the request is Refused. A problem of its surroundings (permissions, quota, load, a namespace that does not
exist yet) is Later: nothing was created. If the result is unknown, it is Ambiguous.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from retrainer.workflows.base import AlreadyExists, Ambiguous, Later, Refused, WorkflowError

if TYPE_CHECKING:
    from collections.abc import Mapping

QUOTA_WAIT = 30.0
SURROUNDINGS_WAIT = 60.0
"""Seconds until permissions, a namespace or Argo's kinds are checked again: an operator has to provide them."""
BUSY_WAIT = 1.0
MISSING = "404"
"""Code of the Later for a name that does not exist."""
FORBIDDEN = "403"
"""Code of an error for a right that is missing."""
CREDENTIALS_WAIT = 5.0


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> WorkflowError:
    """Return the error for a response other than 2xx, with the server's message."""
    answer = _status(body)
    message = answer.get("message") or f"the API server answered {status}: {body[:300].decode(errors='replace')}"
    reason, code = answer.get("reason", ""), str(status)
    if status >= 500:
        return Ambiguous(message, code=code)
    if status == 429:
        return Later(message, code=code, retry_after=_retry_after(headers))
    if status == 401:
        return Later(message, code=code, retry_after=CREDENTIALS_WAIT)
    if status == 403:
        return _forbidden(message, code)
    if status == 404:
        # With a name in the details, that object is missing. Without one the path is unknown: Argo's kinds are missing.
        named = (answer.get("details") or {}).get("name")
        return Later(message, code=MISSING if named else "no-such-api", retry_after=SURROUNDINGS_WAIT)
    if status == 409:
        return (
            AlreadyExists(message, code=code)
            if reason == "AlreadyExists"
            else Later(message, code=code, retry_after=BUSY_WAIT)
        )
    return Refused(message, code=code)


def _forbidden(message: str, code: str) -> WorkflowError:
    """Distinguish the four causes of a 403, which only its message shows."""
    # "status unknown for quota": the quota is new and its controller has not counted yet.
    if "exceeded quota" in message or "status unknown for quota" in message:
        return Later(message, code="quota", retry_after=QUOTA_WAIT)
    if re.search(r"denied( the)? request", message):  # admission webhooks and policies
        return Refused(message, code="denied")
    if "being terminated" in message or re.search(r"cannot \w+ resource", message):
        return Later(message, code=code, retry_after=SURROUNDINGS_WAIT)
    return Refused(message, code=code)


def _status(body: bytes) -> dict[str, Any]:
    """Parse a Status object. Proxies may respond with anything else."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _retry_after(headers: Mapping[str, str]) -> float:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else BUSY_WAIT
