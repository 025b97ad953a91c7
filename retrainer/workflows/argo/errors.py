"""PURE: an answer of the API server as one of the four errors that retrainer tells apart.

What is wrong with the request is Refused. What is wrong with its surroundings (rights, quota, load, a namespace that is
not there yet) is Later: nothing was created. Where nobody can know, it is Ambiguous.
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
"""Seconds until rights, a namespace or Argo's kinds are looked for again: people give them, in their own time."""
BUSY_WAIT = 1.0
MISSING = "404"
"""Code of the Later that says: there is nothing of that name."""
CREDENTIALS_WAIT = 5.0


def classify(status: int, body: bytes, headers: Mapping[str, str]) -> WorkflowError:
    """Tell what an answer other than 2xx means; the message is the server's own."""
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
        # Its own word about a name means that this is not there; an unknown path, that Argo's kinds are not.
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
    """Tell the four causes of a 403 apart, which only its words do."""
    # "status unknown for quota": the quota is so new that its controller has not counted yet.
    if "exceeded quota" in message or "status unknown for quota" in message:
        return Later(message, code="quota", retry_after=QUOTA_WAIT)
    if re.search(r"denied( the)? request", message):  # admission webhooks and policies
        return Refused(message, code="denied")
    if "being terminated" in message or re.search(r"cannot \w+ resource", message):
        return Later(message, code=code, retry_after=SURROUNDINGS_WAIT)
    return Refused(message, code=code)


def _status(body: bytes) -> dict[str, Any]:
    """Read a Status object; proxies in between answer with anything else."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return answer if isinstance(answer, dict) and answer.get("kind") == "Status" else {}


def _retry_after(headers: Mapping[str, str]) -> float:
    value = headers.get("Retry-After", "")
    return float(value) if value.isdigit() else BUSY_WAIT
