"""The response of each endpoint, over a real server."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.daemon.dependencies import Wait
from retrainer.store import tables as t
from retrainer.store.base import StoreBusyError
from tests.unit.api.daemon import TREE
from tests.unit.api.ledger import NOW, RUN, event, run

if TYPE_CHECKING:
    import httpx

    from tests.unit.api.daemon import Daemon

API = "/api/v1"
KAFKA = {"topic": "orders", "partition": 2, "offset": 41, "timestamp": 1764000000.0}
FIRST = "2025-11-24T16:00:01.000Z"  # NOW plus one second


def got(client: httpx.Client, path: str, **query: Any) -> Any:
    response = client.get(API + path, params=query)
    assert response.status_code == 200, response.text
    return response.json()


def test_rules_with_their_verdicts(client: httpx.Client) -> None:
    (line,) = got(client, "/rules")["items"]
    assert (line["name"], line["verdict"], line["until"]) == (
        "churn",
        "churn is held: debounce",
        "2025-11-24T16:07:00.000Z",
    )
    assert line["last_run"] == {"id": RUN.format(2), "phase": "FAILED", "ended_at": "2025-11-24T16:01:04.000Z"}


def test_a_rule_shows_its_configuration(client: httpx.Client) -> None:
    configuration = got(client, "/rules/churn")["configuration"]
    assert configuration["triggers"] == {"new_data": {"data": {"source": "lake", "batch": {"debounce": 600.0}}}}


def test_keys_of_a_rule(client: httpx.Client) -> None:
    assert [item["key"] for item in got(client, "/rules/churn/keys")["items"]] == ["de", "fr"]


def test_explain(client: httpx.Client, daemon: Daemon) -> None:
    asked = {"key": "de", "event": {"data": {"size": 3}}, "at": "2025-11-24T17:00:00+01:00"}
    told = client.post(f"{API}/rules/churn/explain", json=asked).json()
    assert daemon.asked == [("explain", "de", {"data": {"size": 3}}, NOW)]
    assert (told["earliest"], told["tree"]) == ("2025-11-24T16:07:00.000Z", TREE)
    assert told["event"][0]["conditions"] == [{"name": "source", "expected": "lake", "holds": True}]


def test_explain_without_a_question(client: httpx.Client) -> None:
    assert client.post(f"{API}/rules/churn/explain").json()["reason"] == "debounce"


def test_trigger_again_with_the_same_idempotency_key_is_one_run(client: httpx.Client, daemon: Daemon) -> None:
    order, headers = {"key": "de", "parameters": {"since": "2025-01-01"}}, {"Idempotency-Key": "k1"}
    answers = [client.post(f"{API}/rules/churn/trigger", json=order, headers=headers).json() for _ in range(2)]
    assert answers[0] == answers[1]
    assert answers[0]["run"]["workflow"] == "churn-3"
    assert daemon.asked == [("trigger", "de", {"since": "2025-01-01"})]


def test_a_dry_run_shows_the_workflow(client: httpx.Client, daemon: Daemon) -> None:
    answer = client.post(f"{API}/rules/churn/trigger", json={"key": "de", "dry_run": True}).json()
    assert (answer["manifest"]["kind"], answer["run"], daemon.asked) == ("Workflow", None, [])


def test_pause_and_resume(client: httpx.Client, daemon: Daemon) -> None:
    assert client.post(f"{API}/rules/churn/pause", json={"note": "incident 7"}).json()["paused"] is True
    assert client.post(f"{API}/rules/churn/resume").json() == {"rule": "churn", "paused": False}
    assert daemon.asked == [("pause", "churn", "incident 7"), ("resume", "churn")]


def test_runs_are_paged(client: httpx.Client) -> None:
    first = got(client, "/runs", limit=2)
    second = got(client, "/runs", limit=2, cursor=first["next"])
    assert [run["id"] for run in first["items"] + second["items"]] == [RUN.format(n) for n in (3, 2, 1)]
    assert second["next"] is None
    assert [run["id"] for run in got(client, "/runs", phase="RUNNING")["items"]] == [RUN.format(3)]


def test_a_run(client: httpx.Client) -> None:
    run = got(client, f"/runs/{RUN.format(1)}")
    assert (run["created_at"], run["outputs"], run["submit"]) == (
        FIRST,
        {"auc": 0.91},
        {"workflow_template": "churn-train"},
    )
    assert (run["window"]["start"], run["window"]["ranges"]) == ("2025-11-24T16:00:00.000Z", [[1, 3], [6, 8]])


def test_inputs_of_a_run(client: httpx.Client) -> None:
    first = got(client, f"/runs/{RUN.format(1)}/inputs", limit=3)
    second = got(client, f"/runs/{RUN.format(1)}/inputs", limit=3, cursor=first["next"])
    assert [event["seq"] for event in first["items"] + second["items"]] == [1, 2, 3, 6, 7]
    assert first["items"][0]["data"] == {"key": "churn/1.parquet", "size": 100}


def test_the_manifest_of_a_run_is_one_document_with_an_input_a_line(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("retrainer.manifests.document.PAGE", 2)
    text = client.get(f"{API}/runs/{RUN.format(1)}/manifest").text
    manifest = json.loads(text)
    assert (manifest["run"], manifest["rule"], manifest["window"]["events"]) == (RUN.format(1), "churn", 5)
    assert [fed["seq"] for fed in manifest["inputs"]] == [1, 2, 3, 6, 7]
    assert [json.loads(line.rstrip(","))["seq"] for line in text.splitlines()[1:-1]] == [1, 2, 3, 6, 7]
    assert manifest["count"] == 5


def test_a_run_that_nothing_fed_has_an_empty_manifest(client: httpx.Client) -> None:
    manifest = got(client, f"/runs/{RUN.format(2)}/manifest")
    assert (manifest["inputs"], manifest["count"]) == ([], 0)


def test_a_retry_by_hand_was_fed_by_what_fed_its_original(client: httpx.Client, daemon: Daemon) -> None:
    daemon.memory.put(t.runs, run(4, chain=RUN.format(1), retry_of=RUN.format(1), attempt=2, reason="retry"))
    again = RUN.format(4)
    assert [fed["seq"] for fed in got(client, f"/runs/{again}/inputs")["items"]] == [1, 2, 3, 6, 7]
    assert got(client, f"/runs/{again}/manifest")["count"] == 5


PLACES = [
    pytest.param(
        {"data": {"bucket": "lake", "key": "a b.csv", "size": 7, "etag": "e", "version": "v"}},
        {"bucket": "lake", "key": "a b.csv", "size": 7, "etag": "e", "version": "v"},
        id="object",
    ),
    pytest.param(
        {"type": "json", "data": {"bucket": 3, "key": "x"}, "attributes": {"kafka": KAFKA}},
        {"topic": "orders", "partition": 2, "offset": 41, "data": {"bucket": 3, "key": "x"}},
        id="record",
    ),
    pytest.param(
        {"data": {"bucket": "lake", "key": "k", "size": 7}, "attributes": {"kafka": KAFKA}},
        {"bucket": "lake", "key": "k", "size": 7, "topic": "orders", "partition": 2, "offset": 41},
        id="object told of in a record",
    ),
    pytest.param({"type": "json", "data": {"n": 1}}, {"data": {"n": 1}}, id="neither"),
]


@pytest.mark.parametrize(("told", "expected"), PLACES)
def test_an_input_says_where_it_lies(
    client: httpx.Client, daemon: Daemon, told: dict[str, Any], expected: dict[str, Any]
) -> None:
    daemon.memory.put(t.events, event(10, **told))
    daemon.memory.put(t.inputs, {"state": 1, "seq": 10})
    daemon.memory.put(t.runs, run(4, window={"events": 1, "ranges": [[10, 10]]}))
    (fed,) = got(client, f"/runs/{RUN.format(4)}/manifest")["inputs"]
    base = {"seq": 10, "source": "lake", "id": "object-10", "type": fed["type"], "subject": "churn/10.parquet"}
    assert fed == {**base, "time": "2025-11-24T16:00:09.500Z", **expected}
    (listed,) = got(client, f"/runs/{RUN.format(4)}/inputs")["items"]
    assert {name: listed[name] for name in expected} == expected


def test_cancel_and_retry(client: httpx.Client, daemon: Daemon) -> None:
    cancelled = client.post(f"{API}/runs/{RUN.format(3)}/cancel", json={"strategy": "Terminate"})
    retried = client.post(f"{API}/runs/{RUN.format(2)}/retry")
    assert (cancelled.json()["id"], retried.json()["id"]) == (RUN.format(3), RUN.format(3))
    assert daemon.asked == [("cancel", RUN.format(3), "Terminate"), ("retry", RUN.format(2))]


def test_events(client: httpx.Client) -> None:
    assert [event["seq"] for event in got(client, "/events", rule="churn", key="fr")["items"]] == [8]
    assert got(client, "/events", limit=1)["next"] == "9"
    assert got(client, "/events/8")["rules"] == [["churn", "fr"]]


def test_decisions(client: httpx.Client) -> None:
    latest = got(client, "/decisions", rule="churn", limit=1)["items"][0]
    assert (latest["decision"], latest["reason"], latest["count"]) == ("fire", "batch_complete", 3)


def test_slots_are_paged(client: httpx.Client) -> None:
    first = got(client, "/slots", rule="churn", limit=2)
    second = got(client, "/slots", rule="churn", limit=9, cursor=first["next"])
    assert [slot["outcome"] for slot in first["items"] + second["items"]] == ["missed", "fired", "fired", "fired"]


@pytest.mark.parametrize(
    ("number", "payload", "encoding"),
    [pytest.param(1, "{broken", "utf-8", id="text"), pytest.param(2, "/wA=", "base64", id="bytes")],
)
def test_a_dead_letter_shows_its_payload(client: httpx.Client, number: int, payload: str, encoding: str) -> None:
    letter = got(client, f"/dead-letters/{number}")
    assert (letter["payload"], letter["encoding"]) == (payload, encoding)


def test_dead_letters_are_replayed_and_discarded(client: httpx.Client) -> None:
    assert [letter["id"] for letter in got(client, "/dead-letters")["items"]] == [2, 1]
    replayed = client.post(f"{API}/dead-letters/replay", json={"ids": [1, 2]}).json()
    assert (replayed["replayed"], replayed["failed"][0]["id"]) == (1, 1)
    assert client.post(f"{API}/dead-letters/discard", json={"ids": [1, 7]}).json()["discarded"] == 1


def test_probes_metrics_and_reload(client: httpx.Client, daemon: Daemon) -> None:
    assert client.get("/healthz").json() == {"status": "ok", "reasons": []}
    daemon.waits.append(Wait("source lake", "queue", "connection refused by sqs.internal", NOW))
    ready = client.get("/readyz")
    assert ready.status_code == 200, "who waits for somebody else is ready"
    waiting = ["source lake waits for its SQS queue since 2025-11-24T16:00:00.000Z"]
    assert ready.json() == {"ready": True, "reasons": [], "waiting": waiting}, "errors may name servers"
    (told,) = client.get(f"{API}/status").json()["waiting"]
    assert (told["component"], told["dependency"], told["since"]) == ("source lake", "queue", waiting[0][-24:])
    assert told["error"] == "connection refused by sqs.internal"
    daemon.reasons.append("the store is read-only")
    unready = client.get("/readyz")
    assert (unready.status_code, unready.json()["reasons"]) == (503, ["the store is read-only"])
    daemon.hung.append("the thread engine hangs")
    unwell = client.get("/healthz")
    assert (unwell.status_code, unwell.json()) == (503, {"status": "stuck", "reasons": ["the thread engine hangs"]})
    metrics = client.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain; version=")
    assert b"retrainer_leader 1.0" in metrics.content
    assert client.post("/-/reload").json() == {"revision": "abc", "changed": True, "problems": [], "dropped": []}
    assert client.get("/").json()["links"]["rules"] == f"{API}/rules"


def test_webhooks_are_handed_on(client: httpx.Client) -> None:
    response = client.post("/hooks/push/lake", content=b"anything", headers={"Content-Type": "text/plain"})
    assert (response.status_code, response.json()) == (202, {"path": "/hooks/push/lake"})


REFUSED = [
    pytest.param("GET", "/rules/nope", None, 404, "there is no rule 'nope'", id="unknown-rule"),
    pytest.param("GET", "/rules/nope/keys", None, 404, "there is no rule 'nope'", id="keys-of-an-unknown-rule"),
    pytest.param("POST", "/rules/nope/explain", {}, 404, "there is no rule 'nope'", id="explain-an-unknown-rule"),
    pytest.param("POST", "/rules/nope/pause", {}, 404, "there is no rule 'nope'", id="pause-an-unknown-rule"),
    pytest.param("POST", "/rules/churn/trigger", {}, 409, "name one", id="trigger-without-its-key"),
    pytest.param("POST", "/rules/churn/trigger", {"param": {}}, 422, "body.param: Extra", id="unknown-field"),
    pytest.param(
        "POST", "/rules/churn/explain", {"at": "2025-11-24T17:00:00"}, 422, "timezone", id="time-without-zone"
    ),
    pytest.param("GET", "/runs/nope", None, 404, "there is no run nope", id="unknown-run"),
    pytest.param("GET", "/runs/nope/inputs", None, 404, "there is no run nope", id="inputs-of-an-unknown-run"),
    pytest.param("GET", "/runs/nope/manifest", None, 404, "there is no run nope", id="manifest-of-an-unknown-run"),
    pytest.param("POST", "/runs/nope/cancel", {}, 404, "there is no run nope", id="cancel-an-unknown-run"),
    pytest.param("POST", f"/runs/{RUN.format(1)}/cancel", {}, 409, "has ended", id="cancel-an-ended-run"),
    pytest.param("POST", f"/runs/{RUN.format(3)}/retry", {}, 409, "only an ended run", id="retry-a-live-run"),
    pytest.param("GET", "/runs?limit=0", None, 422, "query.limit", id="limit-too-small"),
    pytest.param("GET", "/runs?phase=DONE", None, 422, "query.phase", id="unknown-phase"),
    pytest.param("GET", "/events?cursor=x", None, 422, "query.cursor", id="cursor-no-number"),
    pytest.param("GET", "/events/99999999999999999999", None, 422, "path.seq", id="number-beyond-64-bits"),
    pytest.param("GET", "/events/77", None, 404, "no event 77", id="unknown-event"),
    pytest.param("GET", "/slots?rule=churn&cursor=bm8=", None, 422, "query.cursor", id="cursor-made-up"),
    pytest.param("GET", "/slots?rule=churn&cursor=%C3%BC", None, 422, "query.cursor", id="cursor-not-ascii"),
    pytest.param("GET", "/dead-letters/77", None, 404, "no dead letter 77", id="unknown-dead-letter"),
    pytest.param("POST", "/dead-letters/discard", {"ids": []}, 422, "body.ids", id="no-ids"),
    pytest.param("GET", "/nope", None, 404, "there is no /api/v1/nope", id="unknown-path"),
    pytest.param("GET", "/events/nope", None, 404, "there is no /api/v1/events/nope", id="event-no-number"),
    pytest.param("DELETE", "/rules", None, 405, "use GET", id="unknown-method"),
    pytest.param("GET", "/dead-letters/replay", None, 405, "use POST", id="method-of-a-path-like-that-of-an-item"),
    pytest.param("PUT", "/rules/churn/trigger", None, 405, "use POST or DELETE", id="one-of-several-methods"),
    pytest.param("POST", "/dead-letters/discard", {"ids": [True]}, 422, "body.ids.0", id="another-type"),
    pytest.param("POST", "/rules/churn/explain", {"at": 0}, 422, "RFC 3339", id="time-as-a-number"),
    pytest.param("GET", "/events/find?text=a&since=0", None, 422, "RFC 3339", id="time-as-digits"),
    pytest.param("GET", "/runs?rule=%00", None, 422, "query.rule", id="text-that-PostgreSQL-does-not-take"),
]


@pytest.mark.parametrize(("method", "path", "body", "status", "detail"), REFUSED)
def test_refusals_are_problem_documents(
    client: httpx.Client, method: str, path: str, body: Any, status: int, detail: str
) -> None:
    response = client.request(method, API + path, json=body)
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert (response.status_code, problem["status"]) == (status, status)
    assert detail in problem["detail"]


def test_the_methods_of_a_path_are_named(client: httpx.Client) -> None:
    assert client.put(f"{API}/rules/churn/backfills").headers["allow"] == "GET, POST, DELETE"


TROUBLE = [
    pytest.param(StoreBusyError("retrainer.db: disk is full"), 503, "disk is full", id="store-busy"),
    pytest.param(TimeoutError(), 503, "the request may still be processed", id="engine-late"),
    pytest.param(RuntimeError("secret detail"), 500, "see its log", id="our-own-fault"),
]


@pytest.mark.parametrize(("trouble", "status", "detail"), TROUBLE)
def test_trouble_within(client: httpx.Client, daemon: Daemon, trouble: Exception, status: int, detail: str) -> None:
    daemon.trouble = trouble
    response = client.get(f"{API}/runs")
    assert (response.status_code, response.headers.get("retry-after")) == (status, "5" if status == 503 else None)
    assert detail in response.json()["detail"]
    assert "secret" not in response.text


def test_our_own_fault_is_logged(client: httpx.Client, daemon: Daemon, logged: list[dict[str, Any]]) -> None:
    daemon.trouble = RuntimeError("detail")
    client.get(f"{API}/runs")
    assert [(line["event"], str(line["exc_info"])) for line in logged] == [("web.failed", "detail")]
