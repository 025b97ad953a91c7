"""Answers are compressed, and are not sent again to a client that has them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.responses import Response

from retrainer.api.representation import Compressed
from retrainer.store import tables as t
from tests.unit.api.ledger import RUN, event

if TYPE_CHECKING:
    from tests.unit.api.daemon import Daemon

API = "/api/v1"


@pytest.mark.parametrize("path", ["/metrics", f"{API}/events", f"{API}/runs/{RUN.format(1)}/manifest"])
@pytest.mark.parametrize(
    ("accepted", "compressed"),
    [
        pytest.param("gzip", True, id="gzip"),
        pytest.param("deflate, GZIP;q=0.5", True, id="among others"),
        pytest.param("*", True, id="anything"),
        pytest.param("gzip;q=0", False, id="refused"),
        pytest.param("gzip; q=0.000, *", False, id="refused by name"),
        pytest.param("identity", False, id="nothing but the text"),
        pytest.param("", False, id="nothing said"),
    ],
)
def test_a_long_answer_is_compressed_for_those_who_take_it(
    client: httpx.Client, path: str, accepted: str, compressed: bool
) -> None:
    answer = client.get(path, headers={"Accept-Encoding": accepted})
    assert (answer.headers.get("content-encoding") == "gzip") is compressed
    assert "Accept-Encoding" in answer.headers["vary"]
    assert answer.text == client.get(path, headers={"Accept-Encoding": "identity"}).text


@pytest.mark.parametrize(
    ("media_type", "coding"),
    [
        pytest.param("application/vnd.sqlite3", None, id="a copy of the store"),
        pytest.param("application/json", "gzip", id="a list"),
    ],
)
def test_what_is_large_is_sent_as_it_is(media_type: str, coding: str | None) -> None:
    async def ask() -> httpx.Response:
        app = Compressed(Response(b"x" * 5000, media_type=media_type))
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://x") as client:
            return await client.get("/", headers={"Accept-Encoding": "gzip"})

    answer = asyncio.run(ask())
    assert (answer.headers.get("content-encoding"), answer.content) == (coding, b"x" * 5000)


def test_a_short_answer_is_sent_as_it_is(client: httpx.Client) -> None:
    assert "content-encoding" not in client.get("/healthz", headers={"Accept-Encoding": "gzip"}).headers


@pytest.mark.parametrize(
    ("known", "status"),
    [
        pytest.param("{tag}", 304, id="this one"),
        pytest.param('"other", {tag}', 304, id="among others"),
        pytest.param("{strong}", 304, id="without the mark of a weak one"),
        pytest.param("*", 304, id="any"),
        pytest.param('W/"other"', 200, id="another"),
        pytest.param("nonsense", 200, id="no tag"),
    ],
)
@pytest.mark.parametrize("path", ["/events", "/events/3", "/rules", "/status", "/openapi.json"])
def test_what_the_client_has_is_not_sent_again(client: httpx.Client, path: str, known: str, status: int) -> None:
    first = client.get(API + path)
    tag = first.headers["etag"]
    again = client.get(API + path, headers={"If-None-Match": known.format(tag=tag, strong=tag.removeprefix("W/"))})
    assert (again.status_code, again.headers["etag"]) == (status, tag)
    assert again.content == (b"" if status == 304 else first.content)
    assert first.headers["cache-control"] == "private, no-cache"


def test_a_list_that_has_changed_is_sent(client: httpx.Client, daemon: Daemon) -> None:
    tag = client.get(f"{API}/events").headers["etag"]
    daemon.memory.put(t.events, event(10))
    assert client.get(f"{API}/events", headers={"If-None-Match": tag}).json()["items"][0]["seq"] == 10


def test_an_error_has_no_tag(client: httpx.Client) -> None:
    answer = client.get(f"{API}/events/77", headers={"If-None-Match": "*"})
    assert (answer.status_code, "etag" in answer.headers) == (404, False)


def test_an_act_is_carried_out_whatever_the_client_has(client: httpx.Client, daemon: Daemon) -> None:
    assert client.post(f"{API}/rules/churn/pause", headers={"If-None-Match": "*"}).status_code == 200
    assert daemon.asked == [("pause", "churn", "")]
