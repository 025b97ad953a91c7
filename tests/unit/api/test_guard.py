"""Request checks: tokens, foreign origins, size limits, and the headers of every response."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import httpx
import pytest

from retrainer.api import guard
from retrainer.api.app import build, check_bind
from tests.unit.api.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from retrainer.api.server import WebServer
    from tests.unit.api.conftest import Current

API = "/api/v1"
PAUSE = f"{API}/rules/churn/pause"


@pytest.fixture
def secured(shared: tuple[Current, WebServer], tmp_path: Path) -> Iterator[httpx.Client]:
    """A daemon whose token is in a file."""
    (tmp_path / "token").write_text("s3cret\n")
    daemon = Daemon(token={"from_file": str(tmp_path / "token")})
    current, server = shared
    current.app = build(daemon)
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        yield client
    daemon.memory.close()


TOKENS = [
    pytest.param({}, 401, id="none"),
    pytest.param({"Authorization": "Bearer wrong"}, 401, id="wrong"),
    pytest.param({"Authorization": "Bearer"}, 401, id="empty"),
    pytest.param({"Authorization": "Bearer s3cre"}, 401, id="prefix"),
    pytest.param({"Authorization": b"Bearer \xfc\xff"}, 401, id="not-ascii"),
    pytest.param({"Authorization": "Basic s3cret"}, 401, id="other-scheme"),
    pytest.param({"Authorization": "Bearer s3cret"}, 200, id="right"),
    pytest.param({"Authorization": "bearer s3cret", "Host": "retrainer.example"}, 200, id="right-from-anywhere"),
]


@pytest.mark.parametrize(("headers", "status"), TOKENS)
def test_the_api_asks_for_its_token(secured: httpx.Client, headers: Any, status: int) -> None:
    assert secured.get(f"{API}/rules", headers=headers).status_code == status


READING = [
    pytest.param("GET", f"{API}/rules", "reader", 200, id="reads"),
    pytest.param("POST", PAUSE, "reader", 403, id="changes-nothing"),
    pytest.param("POST", "/-/reload", "reader", 403, id="reloads-nothing"),
    pytest.param("POST", PAUSE, "s3cret", 200, id="the-other-token-may"),
    pytest.param("GET", f"{API}/rules", "neither", 401, id="wrong"),
]


@pytest.mark.parametrize(("method", "path", "token", "status"), READING)
def test_a_token_for_readers(
    shared: tuple[Current, WebServer], monkeypatch: pytest.MonkeyPatch, method: str, path: str, token: str, status: int
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    monkeypatch.setenv("READER", "reader")
    daemon = Daemon(token={"from_env": "TOKEN"}, read_token={"from_env": "READER"})
    current, server = shared
    current.app = build(daemon)
    with httpx.Client(base_url=server.url, trust_env=False) as client:
        response = client.request(method, path, headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == status
    daemon.memory.close()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("POST", "/-/reload", 401, id="reload"),
        pytest.param("GET", f"{API}/openapi.json", 401, id="description"),
        pytest.param("GET", f"{API}/nope", 401, id="unknown-path"),
        pytest.param("GET", "/healthz", 200, id="liveness"),
        pytest.param("GET", "/readyz", 200, id="readiness"),
        pytest.param("GET", "/metrics", 200, id="metrics"),
        pytest.param("POST", "/hooks/push", 202, id="webhooks-have-their-own"),
    ],
)
def test_what_is_open_without_a_token(secured: httpx.Client, method: str, path: str, status: int) -> None:
    assert secured.request(method, path).status_code == status


def test_a_token_is_rotated_by_writing_its_file(secured: httpx.Client, tmp_path: Path) -> None:
    (tmp_path / "token").write_text("fresh")
    assert secured.get(f"{API}/rules", headers={"Authorization": "Bearer fresh"}).status_code == 200
    (tmp_path / "token").unlink()
    answer = secured.get(f"{API}/rules", headers={"Authorization": "Bearer fresh"})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "30")


BROWSERS = [
    pytest.param({"Origin": "http://evil.example"}, 403, id="page-of-another-origin"),
    pytest.param({"Origin": "null"}, 403, id="sandboxed-page"),
    pytest.param({"Origin": "http://127.0.0.1:1"}, 403, id="page-of-another-port"),
    pytest.param({"Sec-Fetch-Site": "cross-site"}, 403, id="cross-site"),
    pytest.param({"Content-Type": "text/plain"}, 415, id="simple-request"),
    pytest.param({"Content-Type": "application/x-www-form-urlencoded"}, 415, id="form"),
    pytest.param({"Host": "evil.example"}, 421, id="name-rebound-to-loopback"),
    pytest.param({"Host": "["}, 421, id="host-no-name"),
    pytest.param({"Host": "localhost:8080"}, 200, id="localhost"),
    pytest.param({"Host": "[::1]:8080"}, 200, id="loopback-v6"),
    pytest.param({"Content-Type": "application/json; charset=utf-8"}, 200, id="json"),
]


@pytest.mark.parametrize(("headers", "status"), BROWSERS)
def test_browsers_cannot_be_made_to_change_anything(
    client: httpx.Client, daemon: Daemon, headers: dict[str, str], status: int
) -> None:
    response = client.post(PAUSE, content=b"{}", headers={"Content-Type": "application/json", **headers})
    assert response.status_code == status, response.text
    assert bool(daemon.asked) == (status == 200)


def test_our_own_origin_is_let_in(client: httpx.Client, server: WebServer) -> None:
    assert client.post(PAUSE, json={}, headers={"Origin": server.url}).status_code == 200


def test_a_form_without_a_body_is_refused(client: httpx.Client) -> None:
    assert client.post(PAUSE, headers={"Content-Type": "text/plain"}).status_code == 415
    assert client.post(PAUSE).status_code == 200


BODIES = [
    pytest.param(b"{", 400, "not JSON", id="not-json"),
    pytest.param(b'\xef\xbb\xbf{"note": ""}', 400, "not JSON", id="bom"),
    pytest.param(b'{"note": NaN}', 400, "not JSON", id="nan"),
    pytest.param(b'{"note": ' + b"[" * 100 + b"]" * 100 + b"}", 400, "nested deeper than 64", id="nested-too-deep"),
    pytest.param(b'{"note": "' + b"x" * guard.MAX_BODY + b'"}', 413, "at most 1048576 bytes", id="too-large"),
    pytest.param(b"[" + b"{}," * 340_000 + b"0]", 413, "MiB once read", id="too-much-once-read"),
    pytest.param(b'{"note": 1}', 422, "body.note", id="wrong-type"),
    pytest.param(b"[]", 422, "body", id="no-object"),
]


@pytest.mark.parametrize("chunked", [False, True], ids=["whole", "chunked"])
@pytest.mark.parametrize(("body", "status", "detail"), BODIES)
def test_bodies(client: httpx.Client, body: bytes, status: int, detail: str, chunked: bool) -> None:
    content: Any = iter([body[:5], body[5:]]) if chunked else body
    response = client.post(PAUSE, content=content, headers={"Content-Type": "application/json"})
    assert (response.status_code, detail in response.json()["detail"]) == (status, True), response.text


@pytest.mark.parametrize("path", ["/", "/healthz", "/metrics", "/hooks/push", f"{API}/rules", f"{API}/nope"])
def test_no_answer_goes_without_its_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == ("private, no-cache" if "etag" in headers else "no-store")
    assert "server" not in headers


BINDS = [
    pytest.param({"host": "0.0.0.0"}, "is not loopback", id="everywhere-without-token"),
    pytest.param({"host": "10.1.2.3"}, "is not loopback", id="network-without-token"),
    pytest.param({"host": "example.org"}, "is not loopback", id="name-without-token"),
    pytest.param({"host": "::"}, "is not loopback", id="everywhere-v6"),
    pytest.param({"token": {"from_env": "NO_SUCH_TOKEN"}}, "NO_SUCH_TOKEN", id="token-missing"),
    pytest.param({"host": "127.0.0.1"}, None, id="loopback"),
    pytest.param({"host": "127.8.8.8"}, None, id="loopback-net"),
    pytest.param({"host": "::1"}, None, id="loopback-v6"),
    pytest.param({"host": "localhost"}, None, id="localhost"),
    pytest.param({"host": "0.0.0.0", "token": {"from_env": "TOKEN"}}, None, id="everywhere-with-token"),
]


@pytest.mark.parametrize(("http", "refused"), BINDS)
def test_nobody_binds_to_the_network_without_a_token(
    monkeypatch: pytest.MonkeyPatch, http: dict[str, Any], refused: str | None
) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    daemon = Daemon(**http)
    daemon.memory.close()
    if refused is None:
        check_bind(daemon.settings)
    else:
        with pytest.raises(ValueError, match=refused):
            check_bind(daemon.settings)
