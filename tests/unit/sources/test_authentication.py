"""A captured request can only be replayed unchanged at its own source."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sources_kit import FixedClock, ScriptedIntake, served
from structlog.testing import capture_logs

from retrainer.config.models import FromEnv, WebhookSource
from retrainer.sources.http import authentication
from retrainer.sources.http.signature import sign
from retrainer.sources.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = 1_780_000_000.0
BODY = b'{"rows": 3}'
DOCS = Path(__file__).parents[3] / "docs/how-to/sources/signing.md"
CE = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "harmless"}
KEY = FromEnv(from_env="KEY")


def hook(path: str, **settings: Any) -> WebhookSource:
    return WebhookSource(**{"type": "webhook", "path": f"/hooks/{path}", "hmac": KEY, **settings})


SOURCES = {
    "push": hook("push"),
    "other": hook("other"),
    "tenants": hook("tenants", id="has(headers.tenant) ? headers.tenant : 'none'"),
    "events": hook("events", format="cloudevents"),
    "strict": hook("strict", signatures=["v2"]),
}


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def client(intake: ScriptedIntake, clock: FixedClock) -> Iterator[httpx.Client]:
    webhooks = Webhooks(SOURCES, intake, clock, lambda _: "k1")
    with served(webhooks) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}/hooks", trust_env=False) as client:
        yield client


def signed(scheme: str, path: str, headers: dict[str, str] | None = None) -> dict[str, str]:
    headers = {"content-type": "application/json", **(headers or {})}
    if scheme == "hub":
        return {**headers, "x-hub-signature-256": f"sha256={sign('k1', BODY)}"}
    if scheme == "v1":
        return {**headers, "x-retrainer-signature": f"t=1780000000,v1={sign('k1', b'1780000000.' + BODY)}"}
    lines = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
    text = f"v2\n1780000000\n/hooks/{path}\n{lines}\n".encode() + BODY
    return {**headers, "x-retrainer-signature": f"t=1780000000,v2={sign('k1', text)}"}


@pytest.mark.parametrize("scheme", ["v2", "v1", "hub"])
def test_one_secret_of_two_sources_lets_nothing_be_replayed_at_the_other(client: httpx.Client, scheme: str) -> None:
    captured = signed(scheme, "push")
    assert client.post("/push", content=BODY, headers=captured).status_code == 202
    assert client.post("/other", content=BODY, headers=captured).status_code == 401
    assert client.post("/push", content=BODY, headers=captured).status_code == 202


def test_version_2_signs_the_bytes_of_headers_that_are_no_ascii(client: httpx.Client) -> None:
    text = "v2\n1780000000\n/hooks/push\nidempotency-key:é\n\n".encode() + BODY
    signature = f"t=1780000000,v2={sign('k1', text)}".encode()
    headers = [(b"Idempotency-Key", "é".encode()), (b"X-Retrainer-Signature", signature)]
    assert client.post("/push", content=BODY, headers=headers).status_code == 202


@pytest.mark.parametrize("scheme", ["v2", "v1"])
@pytest.mark.parametrize(
    ("path", "headers", "altered"),
    [
        pytest.param("push", {}, {"Idempotency-Key": "2"}, id="another key"),
        pytest.param("events", CE, {"ce-type": "go"}, id="another type"),
        pytest.param("events", CE, {"ce-id": "2"}, id="another id"),
        pytest.param("events", CE, {"ce-tenant": "x"}, id="an extension more"),
        pytest.param("push", {}, {"Retrainer-Run": "01R"}, id="a run that is said to have sent it"),
    ],
)
def test_a_captured_request_cannot_be_altered(
    client: httpx.Client,
    intake: ScriptedIntake,
    scheme: str,
    path: str,
    headers: dict[str, str],
    altered: dict[str, str],
) -> None:
    captured = signed(scheme, path, headers)
    assert client.post(f"/{path}", content=BODY, headers=captured).status_code == 202
    assert client.post(f"/{path}", content=BODY, headers={**captured, **altered}).status_code == 401
    assert client.post(f"/{path}", content=BODY, headers=captured).status_code == 202
    assert len({item.id for item in intake.items}) == 1


def test_what_version_2_does_not_cover_is_not_seen(client: httpx.Client, intake: ScriptedIntake) -> None:
    captured = signed("v2", "tenants")
    for tenant in ({}, {"tenant": "b"}):
        assert client.post("/tenants", content=BODY, headers={**captured, **tenant}).status_code == 202
    assert [item.id for item in intake.items] == ["none", "none"]


def test_version_1_is_bound_by_what_a_header_names(client: httpx.Client) -> None:
    captured = signed("v1", "tenants", {"tenant": "a"})
    assert client.post("/tenants", content=BODY, headers=captured).status_code == 202
    assert client.post("/tenants", content=BODY, headers={**captured, "tenant": "b"}).status_code == 401


OTHER = FromEnv(from_env="OTHER")


@pytest.mark.parametrize(
    ("second", "told"),
    [
        pytest.param(hook("b"), [("b", "a")], id="the same secret"),
        pytest.param(hook("b", hmac=[OTHER, KEY]), [("b", "a")], id="among two that live at once"),
        pytest.param(hook("b", hmac=OTHER), [], id="a secret of its own"),
        pytest.param(hook("b", signatures=["v2", "v1"]), [], id="it takes no signature of the body alone"),
    ],
)
def test_two_sources_whose_senders_sign_one_body_with_one_secret_are_told(
    second: WebhookSource, told: list[tuple[str, str]]
) -> None:
    sources = {"a": hook("a"), "b": second}
    with capture_logs() as lines:
        Webhooks(sources, ScriptedIntake(), FixedClock(NOW), lambda _: "k1").replace(sources)
    assert [(line["source"], line["other"]) for line in lines if line["event"] == "webhook.shared_secret"] == told


def test_github_hears_why_the_second_source_refuses_it(client: httpx.Client) -> None:
    answers = [client.post(path, content=BODY, headers=signed("hub", "")) for path in ("/push", "/other")]
    assert [answer.status_code for answer in answers] == [202, 401]
    assert "give each its own secret" in answers[1].text


def test_equal_bodies_signed_by_the_body_alone_are_two_events(client: httpx.Client, intake: ScriptedIntake) -> None:
    for key in ("1", "2"):
        headers = {**signed("hub", "push"), "Idempotency-Key": key}
        assert client.post("/push", content=BODY, headers=headers).status_code == 202
    assert len({item.id for item in intake.items}) == 2


@pytest.mark.parametrize(("scheme", "status"), [("v2", 202), ("v1", 401), ("hub", 401)])
def test_a_source_may_insist_on_version_2(client: httpx.Client, scheme: str, status: int) -> None:
    assert client.post("/strict", content=BODY, headers=signed(scheme, "strict")).status_code == status


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch, client: httpx.Client) -> None:
    monkeypatch.setattr(authentication, "MOST_SEEN", 0)
    captured = signed("v1", "push")
    for path in ("/push", "/other"):
        assert client.post(path, content=BODY, headers=captured).status_code == 202


def _example(language: str) -> str:
    section = DOCS.read_text().partition("## Signing")[2]
    found = re.search(rf"```{language}\n(.*?)```", section, re.DOTALL)
    assert found is not None
    return found[1]


def _run(program: list[str], text: str, port: int) -> str:
    text = text.replace("http://127.0.0.1:8080", f"http://127.0.0.1:{port}")
    env = {"SECRET": "k1", "PATH": "/usr/bin:/bin", "NO_PROXY": "*"}
    return subprocess.run([*program, text], capture_output=True, text=True, check=True, env=env, timeout=30).stdout


@pytest.mark.parametrize(("language", "program"), [("sh", ["sh", "-euc"]), ("python", ["python3", "-c"])])
def test_the_examples_of_the_documentation_are_accepted(
    client: httpx.Client, clock: FixedClock, intake: ScriptedIntake, language: str, program: list[str]
) -> None:
    import time

    clock.time = time.time()
    assert "matched" in _run(program, _example(language), client.base_url.port or 0)
    assert intake.items[0].data == {"rows": 120000}
