"""Any request gets a response that names its error: no 5xx except 503, and no error in the log."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from retrainer.api.app import openapi
from tests.houses.daemon_in_process import DaemonInProcess

if TYPE_CHECKING:
    from collections.abc import Iterator

RULES = """
version: 1
sources:
  push: {type: webhook, path: /hooks/push, id: data.id, time: data.time}
  events: {type: webhook, path: /hooks/events, format: cloudevents}
  bucket: {type: webhook, path: /hooks/bucket, format: s3}
  alerts: {type: alertmanager, path: /hooks/alerts}
rules:
  - name: r
    triggers: {d: {data: {source: push}}, s: {schedule: {cron: "0 2 * * *"}}, m: {metric: {source: push, above: 5}}}
    submit: {workflow_template: train}
"""
SPEC = openapi()
HOOKS = [f"/hooks/{name}" for name in ("push", "events", "bucket", "alerts")]
ROUTES: list[tuple[str, str, list[str]]] = [
    (path, method, [p["name"] for p in about.get("parameters", []) if p["in"] == "query"])
    for path, methods in SPEC["paths"].items()
    for method, about in methods.items()
    if "text/event-stream" not in about["responses"].get("200", {}).get("content", {})  # which never ends
] + [(path, method, []) for path in HOOKS for method in ("post", "get", "options")]
FIELDS = ["key", "at", "event", "data", "from", "to", "ages", "ids", "rule", "parameters", "id", "time", "alerts"]
WORDS = [
    *("", "0", "-1", "9" * 19, "9" * 400, "1e5", "true", "\0", "%", "\u0661", "é", "a" * 1025, "'", "[", "../..", "r"),
    *("0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "2026-01-01", "99999999999d", "-5d", "bnVsbA==", "W251bGxd"),
]
text = st.sampled_from(WORDS) | st.text(max_size=20)
number = st.sampled_from([2**63, -(2**63), 1e308, 0]) | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
scalar = st.none() | st.booleans() | number | text
value = st.recursive(
    scalar, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=4)
)
header = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=12).map(str.strip) | st.sampled_from(
    ["http://[", "[", "null"]
)
"""What a client can send: spaces around a value are not part of it (RFC 9110, 5.5)."""
headers = st.dictionaries(
    st.sampled_from(
        ["Origin", "Host", "Idempotency-Key", "Sec-Fetch-Site", "Retrainer-Run", "ce-id", "ce-type", "ce-time"]
    ),
    header,
    max_size=2,
)
kind = st.sampled_from(["application/json"] * 6 + ["application/cloudevents-batch+json", "text/plain", ""])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaemonInProcess]:
    house = DaemonInProcess(tmp_path_factory.mktemp("house"), RULES)
    yield house
    house.close()


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, dict[str, str], bytes]:
    path, method, names = draw(st.sampled_from(ROUTES))
    for part in [part for part in path.split("/") if part.startswith("{")]:
        path = path.replace(part, quote(draw(text), safe="") or "r")
    asked = {name: draw(text) for name in names if draw(st.booleans())}
    sent = {"Content-Type": draw(kind), **draw(headers)}
    return method, f"{path}?{urlencode(asked)}", sent, json.dumps(draw(value)).encode()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(request_=requests())
def test_no_request_makes_it_fail(house: DaemonInProcess, request_: tuple[str, str, dict[str, str], bytes]) -> None:
    method, url, sent, body = request_
    with capture_logs() as lines:
        answer = house.http.request(method, url, headers=sent, content=body if method == "post" else None)
    assert answer.status_code < 500 or answer.status_code == 503, (method, url, sent, body, answer.text)
    assert not [line for line in lines if line["log_level"] in ("error", "critical")]


@pytest.mark.parametrize(
    ("method", "path", "sent", "body"),
    [
        pytest.param("GET", "/api/v1/events/find?text=9999999999999999999", {}, None, id="a number beyond 64 bits"),
        pytest.param("POST", "/api/v1/rules/r/pause", {"Origin": "http://["}, None, id="an origin that is no address"),
        pytest.param("POST", "/api/v1/rules/r/explain", {}, {"at": "0001-01-01T00:00:00Z"}, id="before all calendars"),
        pytest.param("POST", "/api/v1/rules/r/explain", {}, {"at": "9999-12-31T00:00:00Z"}, id="after all calendars"),
    ],
)
def test_what_once_made_it_fail(
    house: DaemonInProcess, method: str, path: str, sent: dict[str, str], body: Any
) -> None:
    answer = house.http.request(method, path, headers=sent, json=body)
    assert answer.status_code in (200, 403, 422), answer.text
