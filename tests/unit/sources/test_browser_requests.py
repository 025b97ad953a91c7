"""Requests that a web page can make a browser send, and requests of programs."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from sources_kit import FixedClock, ScriptedIntake, served
from structlog.testing import capture_logs

from retrainer.config.models import FromEnv, WebhookSource
from retrainer.config.settings import Http
from retrainer.sources.http import rejections
from retrainer.sources.http.browser_requests import Doors
from retrainer.sources.http.refusal import Refusal
from retrainer.sources.webhook import Webhooks

if TYPE_CHECKING:
    from collections.abc import Iterator

EVERYWHERE = {"host": "0.0.0.0"}
BEHIND = {"host": "127.0.0.1", "allowed_hosts": ["Hooks.example.org"]}
PUBLIC = {"host": "0.0.0.0", "allowed_hosts": ["hooks.example.org"]}
PAGES = {"allowed_origins": ["https://console.example.org"]}


def status_of(http: dict[str, Any], headers: dict[str, str], *, proven: bool = False) -> int:
    doors = Doors.of(Http.model_validate(http))
    try:
        if not proven:
            doors.check_host(headers)
        doors.check_origin(headers, proven=proven)
    except Refusal as refusal:
        return refusal.status
    return 200


@pytest.mark.parametrize(
    ("http", "host", "status"),
    [
        pytest.param({}, "localhost:8080", 200, id="loopback, by name"),
        pytest.param({}, "127.9.9.9", 200, id="loopback, by address"),
        pytest.param({}, "[::1]:8080", 200, id="loopback of IPv6"),
        pytest.param({}, "evil.example", 421, id="a name that was rebound"),
        pytest.param({}, "localhost.evil.example", 421, id="a name that begins like ours"),
        pytest.param({}, "10.0.0.7", 421, id="another address"),
        pytest.param(BEHIND, "10.0.0.7", 200, id="another address, beside allowed names"),
        pytest.param({}, "", 421, id="no name"),
        pytest.param({}, "[", 421, id="what is no name"),
        pytest.param(BEHIND, "hooks.EXAMPLE.org.", 200, id="an allowed name, written otherwise"),
        pytest.param(BEHIND, "evil.example", 421, id="a name beside the allowed"),
        pytest.param(EVERYWHERE, "retrainer.ml", 200, id="beyond loopback, any name"),
        pytest.param(PUBLIC, "hooks.example.org", 200, id="beyond loopback, an allowed name"),
        pytest.param(PUBLIC, "10.1.2.3:8080", 200, id="beyond loopback, by address, as the kubelet's probes"),
        pytest.param(PUBLIC, "evil.example", 421, id="beyond loopback, beside the allowed"),
    ],
)
def test_names_that_are_answered_to(http: dict[str, Any], host: str, status: int) -> None:
    assert status_of(http, {"host": host}) == status


OURS = "localhost:8080"


@pytest.mark.parametrize(
    ("http", "headers", "status"),
    [
        pytest.param({}, {}, 200, id="a program says nothing"),
        pytest.param({}, {"origin": "http://localhost:8080"}, 200, id="our own page"),
        pytest.param({}, {"origin": "http://localhost:3000"}, 403, id="another port of this machine"),
        pytest.param({}, {"origin": "https://evil.example"}, 403, id="another page"),
        pytest.param({}, {"origin": "null"}, 403, id="a sandboxed page"),
        pytest.param({}, {"origin": "http://["}, 403, id="what is no address"),
        pytest.param({}, {"origin": ""}, 403, id="nothing where there should be something"),
        pytest.param({}, {"sec-fetch-site": "cross-site"}, 403, id="the browser says another site"),
        pytest.param({}, {"sec-fetch-site": "same-site"}, 403, id="the browser says a sibling of our site"),
        pytest.param({}, {"sec-fetch-site": "none"}, 200, id="somebody typed it"),
        pytest.param(PAGES, {"origin": "https://Console.example.org", "sec-fetch-site": "cross-site"}, 200, id="named"),
        pytest.param(PAGES, {"origin": "https://console.example.org.evil"}, 403, id="one that begins like a named one"),
    ],
)
def test_pages_that_may_send(http: dict[str, Any], headers: dict[str, str], status: int) -> None:
    assert status_of(http, {"host": OURS, **headers}) == status


@pytest.mark.parametrize(("proven", "status"), [(False, 403), (True, 200)], ids=["any page", "one with a secret"])
def test_beyond_loopback_a_page_of_our_name_may_have_been_rebound(proven: bool, status: int) -> None:
    headers = {"host": "evil.example", "origin": "http://evil.example"}
    assert status_of(EVERYWHERE, headers, proven=proven) == status


@pytest.mark.parametrize(
    ("http", "told"),
    [pytest.param({}, [], id="on loopback"), pytest.param(EVERYWHERE, ["open"], id="beyond it")],
)
def test_a_source_that_takes_from_anybody_is_told_once(http: dict[str, Any], told: list[str]) -> None:
    closed = WebhookSource(type="webhook", path="/hooks/closed", token=FromEnv(from_env="T"))
    sources = {"open": WebhookSource(type="webhook", path="/hooks/open"), "closed": closed}
    with capture_logs() as lines:
        webhooks = Webhooks(
            sources, ScriptedIntake(), FixedClock(1e9), lambda _: "t1", Doors.of(Http.model_validate(http))
        )
        webhooks.replace(sources)
    assert [line["source"] for line in lines if line["event"] == "webhook.anybody_may_send"] == told


TOKEN = {"Authorization": "Bearer t1"}
WRONG = {"Authorization": "Bearer t2"}


@pytest.fixture
def turned_away() -> list[tuple[str, int]]:
    return []


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


@pytest.fixture
def client(intake: ScriptedIntake, turned_away: list[tuple[str, int]]) -> Iterator[httpx.Client]:
    sources = {
        "open": WebhookSource(type="webhook", path="/hooks/open"),
        "closed": WebhookSource(type="webhook", path="/hooks/closed", token=FromEnv(from_env="T")),
        "events": WebhookSource(
            type="webhook", path="/hooks/events", format="cloudevents", token=FromEnv(from_env="T")
        ),
    }
    refused = lambda door, status: turned_away.append((door, status))  # noqa: E731
    metrics = SimpleNamespace(refused=refused, dead_letters_left_out=None)
    webhooks = Webhooks(sources, intake, FixedClock(1e9), lambda _: "t1", metrics=metrics)  # type: ignore[arg-type]
    with served(webhooks) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}/hooks", trust_env=False) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/open", {}, 202, id="a program"),
        pytest.param("/open", {"Origin": "https://evil.example"}, 403, id="a Blob without a type"),
        pytest.param("/open", {"Host": "evil.example"}, 421, id="a name that was rebound"),
        pytest.param("/closed", {"Host": "hooks.example", **TOKEN}, 202, id="a token, under any name"),
        pytest.param("/closed", {"Origin": "https://evil.example", **TOKEN}, 403, id="a token, from a page"),
    ],
)
def test_hooks_know_pages(
    client: httpx.Client, intake: ScriptedIntake, path: str, headers: dict[str, str], status: int
) -> None:
    assert client.post(path, content=b"{}", headers=headers).status_code == status
    assert len(intake.batches) == (status == 202)


def test_who_insists_is_told_to_wait_and_a_good_token_is_let_in(
    client: httpx.Client, turned_away: list[tuple[str, int]]
) -> None:
    with capture_logs() as lines:
        answers = [client.post("/closed", content=b"{}", headers=WRONG) for _ in range(rejections.MOST_FAILURES + 2)]
    assert [answer.status_code for answer in answers] == [401] * rejections.MOST_FAILURES + [429] * 2
    assert answers[-1].headers["retry-after"] == "60"
    assert client.post("/closed", content=b"{}", headers=TOKEN).status_code == 202
    assert turned_away == [("closed", 401)] * rejections.MOST_FAILURES + [("closed", 429)] * 2
    said = [line for line in lines if line["event"] == "web.refused"]
    assert len([line for line in said if line["status"] == 401]) == rejections.MOST_LINES
    assert {(line["peer"], line["path"]) for line in said} == {("127.0.0.1", "/hooks/closed")}
    assert "t2" not in str(lines)


@pytest.mark.parametrize(
    ("peer", "counted_as"),
    [
        pytest.param("10.1.2.3", "10.1.2.3", id="an address of IPv4"),
        pytest.param("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64", id="one of IPv6 has neighbours of the same owner"),
        pytest.param("::ffff:10.1.2.3", "::ffff:10.1.2.3", id="IPv4 in IPv6"),
        pytest.param("", "", id="a socket without an address"),
    ],
)
def test_wrong_tokens_are_counted_by_the_owner_of_an_address(peer: str, counted_as: str) -> None:
    assert rejections.network_of(peer) == counted_as


def test_lines_that_were_left_out_are_counted(client: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rejections, "WINDOW", 0.3)
    monkeypatch.setattr(rejections, "MOST_LINES", 2)
    with capture_logs() as lines:
        for number in range(7):
            client.post(f"/nowhere{number}", content=b"{}")
        while not (more := [line for line in lines if line["event"] == "web.refused_more"]):
            client.get("/open")
    assert len([line for line in lines if line["event"] == "web.refused" and line["status"] == 404]) == 2
    assert [line["lines_left_out"] for line in more if line["status"] == 404] == [5]


@pytest.mark.parametrize(
    ("path", "headers", "status", "allowed"),
    [
        pytest.param("/events", {"WebHook-Request-Origin": "eventgrid.azure.net"}, 200, "eventgrid.azure.net", id="it"),
        pytest.param("/events", {}, 405, None, id="no origin that asks"),
        pytest.param("/open", {"WebHook-Request-Origin": "eventgrid.azure.net"}, 405, None, id="not CloudEvents"),
        pytest.param("/events", {"WebHook-Request-Origin": "a b<script>"}, 400, None, id="what is no name"),
        pytest.param(
            "/events", {"WebHook-Request-Origin": "x.org", "Origin": "https://evil.example"}, 403, None, id="a page"
        ),
    ],
)
def test_the_handshake_of_cloudevents(
    client: httpx.Client, path: str, headers: dict[str, str], status: int, allowed: str | None
) -> None:
    answer = client.options(path, headers=headers)
    assert (answer.status_code, answer.headers.get("webhook-allowed-origin")) == (status, allowed)


def test_a_handshake_that_asks_for_a_rate_is_told_one(client: httpx.Client) -> None:
    answer = client.options("/events", headers={"WebHook-Request-Origin": "x.org", "WebHook-Request-Rate": "120"})
    assert answer.headers["webhook-allowed-rate"] == "*"
