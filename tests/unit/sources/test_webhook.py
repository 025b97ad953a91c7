"""The webhook source over real sockets, with a real web server."""

import gzip
import json
import socket
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from sources_kit import FixedClock, ScriptedIntake, served
from structlog.testing import capture_logs

from retrainer.config.models import AlertmanagerSource, FromEnv, WebhookSource
from retrainer.sources.formats import cloudevents
from retrainer.sources.http.rejections import MOST_FAILURES
from retrainer.sources.http.signature import sign
from retrainer.sources.webhook import Webhooks
from tests.waiting import until

NOW = 1_780_000_000.0
JSON, CSV = {"content-type": "application/json"}, {"content-type": "text/csv"}
CE = {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/orders", "ce-type": "dataset.updated"}
KEY, OLD_KEY, TOKEN = FromEnv(from_env="KEY"), FromEnv(from_env="OLD_KEY"), FromEnv(from_env="TOKEN")
SECRETS = {"KEY": "k1", "OLD_KEY": "k0", "TOKEN": "t1"}


def hook(path: str, **settings: Any) -> WebhookSource:
    return WebhookSource(type="webhook", path=f"/hooks/{path}", **settings)


SOURCES = {
    "push": hook("push"),
    "signed": hook("signed", hmac=[KEY, OLD_KEY], id="data.id"),
    "anonymous": hook("anonymous", hmac=KEY),
    "token": hook("token", token=TOKEN),
    "both": hook("both", token=TOKEN, hmac=KEY),
    "lost": hook("lost", token=FromEnv(from_env="NOWHERE")),
    "small": hook("small", max_body="64B"),
    "slow": hook("slow", body_timeout="100ms"),
    "events": hook("events", format="cloudevents"),
    "bucket": hook("bucket", format="s3"),
    "alerts": AlertmanagerSource(type="alertmanager", path="/hooks/alerts", token=TOKEN),
}


def secret(reference: FromEnv) -> str:
    if reference.from_env not in SECRETS:
        raise ValueError(f"{reference.from_env} is not set")
    return SECRETS[reference.from_env]


@pytest.fixture
def intake() -> ScriptedIntake:
    return ScriptedIntake()


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


@pytest.fixture
def webhooks(intake: ScriptedIntake, clock: FixedClock) -> Webhooks:
    return Webhooks(SOURCES, intake, clock, secret)


@pytest.fixture
def port(webhooks: Webhooks) -> Iterator[int]:
    with served(webhooks) as port:
        yield port


@pytest.fixture
def client(port: int) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"http://127.0.0.1:{port}/hooks", timeout=20, trust_env=False) as client:
        yield client


def assert_problem(answer: httpx.Response, status: int, detail: str) -> None:
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert answer.json()["status"] == status
    assert detail in answer.json()["detail"]


def stamped(body: bytes, secret: str = "k1", at: float = NOW) -> dict[str, str]:
    return {**JSON, "X-Retrainer-Signature": f"t={int(at)},v1={sign(secret, f'{int(at)}.'.encode() + body)}"}


def test_an_event_is_taken(client: httpx.Client, intake: ScriptedIntake) -> None:
    answer = client.post("/push", json={"rows": 3}, headers={"Idempotency-Key": "k-1"})
    assert (answer.status_code, answer.json()) == (202, {"outcomes": ["matched"]})
    (event,) = intake.items
    assert (event.source, event.id, event.time, event.data) == ("push", "k-1", NOW, {"rows": 3})


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        pytest.param("/push", {"Retrainer-Run": "01R"}, id="plain JSON"),
        pytest.param("/events", {**CE, "ce-retrainerrun": "01R"}, id="a CloudEvent in headers"),
    ],
)
def test_a_request_says_which_run_sent_it(
    client: httpx.Client, intake: ScriptedIntake, path: str, headers: dict[str, str]
) -> None:
    assert client.post(path, json={"rows": 3}, headers=headers).status_code == 202
    assert intake.items[0].attributes["retrainerrun"] == "01R"


def test_202_comes_only_after_the_commit(client: httpx.Client, intake: ScriptedIntake) -> None:
    intake.hold = True
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.append(client.post("/push", json={})))
    sender.start()
    until(lambda: intake.held, "the batch is offered")
    assert client.get("/push").status_code == 405  # the server works while the sender still waits
    assert not answers
    intake.release()
    sender.join()
    assert answers[0].status_code == 202


def test_what_could_not_be_stored_is_not_acknowledged(client: httpx.Client, intake: ScriptedIntake) -> None:
    intake.failing = 1
    answer = client.post("/push", json={})
    assert_problem(answer, 503, "send them again")
    assert int(answer.headers["retry-after"]) >= 1


def test_what_the_engine_gave_up_is_not_acknowledged(client: httpx.Client, intake: ScriptedIntake) -> None:
    intake.hold = True
    answers: list[httpx.Response] = []
    sender = threading.Thread(target=lambda: answers.append(client.post("/push", json={})))
    sender.start()
    until(lambda: intake.held, "the batch is offered")
    assert intake.held[0][1].cancel()
    sender.join()
    assert_problem(answers[0], 503, "send them again")


def test_back_pressure_asks_to_come_again(client: httpx.Client, intake: ScriptedIntake) -> None:
    intake.overloaded = 1
    answer = client.post("/push", json={})
    assert_problem(answer, 503, "behind")
    assert answer.headers["retry-after"] == "1"
    assert client.post("/push", json={}).status_code == 202


def test_a_stopping_daemon_takes_nothing_in(client: httpx.Client, webhooks: Webhooks, intake: ScriptedIntake) -> None:
    webhooks.stop()
    assert_problem(client.post("/push", json={}), 503, "stopping")
    assert not intake.batches


def test_sources_are_replaced_while_serving(client: httpx.Client, webhooks: Webhooks) -> None:
    webhooks.replace({"other": hook("other")})
    assert client.post("/other", json={}).status_code == 202
    assert_problem(client.post("/push", json={}), 404, "no source")


def test_two_sources_on_one_path_are_refused_and_change_nothing(client: httpx.Client, webhooks: Webhooks) -> None:
    with pytest.raises(ValueError, match="one and two both listen on /hooks/x"):
        webhooks.replace({"one": hook("x"), "two": hook("x")})
    assert client.post("/push", json={}).status_code == 202


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
def test_other_methods_are_told_which_one(client: httpx.Client, method: str) -> None:
    answer = client.request(method, "/push")
    assert_problem(answer, 405, "POST")
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize("path", ["/nowhere", "/push/x", "/PUSH", "/"])
def test_unknown_paths_are_told_so(client: httpx.Client, path: str) -> None:
    assert_problem(client.post(path, json={}), 404, "no source")


def test_a_slash_at_the_end_makes_no_difference(client: httpx.Client) -> None:
    assert client.post("/push/", json={}).status_code == 202


@pytest.mark.parametrize(
    ("body", "why"), [(b"rows=3", "not JSON"), (b"[]", "a JSON object is expected")], ids=["no JSON", "a list"]
)
def test_an_unreadable_body_is_stored_with_its_reason(
    client: httpx.Client, intake: ScriptedIntake, body: bytes, why: str
) -> None:
    answer = client.post("/push", content=body, headers=JSON)
    assert answer.status_code == 202
    assert answer.json()["outcomes"] == ["dead_lettered"]
    assert why in answer.json()["errors"][0]["error"]
    assert intake.items[0].payload == body


@pytest.mark.parametrize(
    ("path", "headers", "detail"),
    [
        pytest.param("/push", {"content-type": "text/csv"}, "application/json", id="csv"),
        pytest.param("/push", {"content-type": "application/x-www-form-urlencoded"}, "application/json", id="form"),
        pytest.param("/push", {"content-type": "application/json; charset=latin-1"}, "UTF-8", id="charset"),
        pytest.param("/push", {**JSON, "content-encoding": "br"}, "gzip", id="brotli"),
        pytest.param("/push", {**JSON, "content-encoding": "gzip, gzip"}, "gzip", id="gzip-twice"),
        pytest.param("/bucket", {"content-type": "application/xml"}, "application/json", id="s3-xml"),
        pytest.param("/events", JSON, "not a CloudEvent", id="no-cloudevent"),
        pytest.param("/events", {**CE, "content-type": "application/cloudevents+xml"}, "not a CloudEvent", id="ce-xml"),
    ],
)
def test_what_can_never_be_read_is_refused(
    client: httpx.Client, intake: ScriptedIntake, path: str, headers: dict[str, str], detail: str
) -> None:
    assert_problem(client.post(path, content=b"{}", headers=headers), 415, detail)
    assert not intake.batches


@pytest.mark.parametrize(
    ("headers", "body", "ids"),
    [
        pytest.param({**CE, **JSON}, b'{"rows": 3}', ["/orders 7"], id="binary"),
        pytest.param(
            {"content-type": cloudevents.STRUCTURED},
            b'{"specversion": "1.0", "id": "8", "source": "/orders", "type": "t"}',
            ["/orders 8"],
            id="structured",
        ),
        pytest.param(
            {"content-type": cloudevents.BATCH},
            b'[{"specversion": "1.0", "id": "8", "source": "/a", "type": "t"},'
            b'{"specversion": "1.0", "id": "9", "source": "/b", "type": "t"}]',
            ["/a 8", "/b 9"],
            id="batch",
        ),
        pytest.param({"content-type": cloudevents.BATCH}, b"[]", [], id="empty-batch"),
    ],
)
def test_cloudevents_in_all_modes(
    client: httpx.Client, intake: ScriptedIntake, headers: dict[str, str], body: bytes, ids: list[str]
) -> None:
    answer = client.post("/events", content=body, headers=headers)
    assert (answer.status_code, answer.json()) == (202, {"outcomes": ["matched"] * len(ids)})
    assert [event.id for event in intake.items] == ids


def test_a_batch_is_one_transaction_and_its_bad_part_is_named(client: httpx.Client, intake: ScriptedIntake) -> None:
    body = b'[{"specversion": "1.0", "id": "8", "source": "/a", "type": "t"}, {"id": 9}]'
    answer = client.post("/events", content=body, headers={"content-type": cloudevents.BATCH})
    assert answer.json()["outcomes"] == ["matched", "dead_lettered"]
    assert answer.json()["errors"][0]["item"] == 1
    assert len(intake.batches) == 1


def test_the_test_event_of_a_bucket_is_acknowledged_and_dropped(client: httpx.Client, intake: ScriptedIntake) -> None:
    answer = client.post("/bucket", json={"Service": "Amazon S3", "Event": "s3:TestEvent"})
    assert (answer.status_code, answer.json()) == (202, {"outcomes": []})
    assert not intake.batches


ALERT = {"status": "firing", "labels": {"alertname": "ModelDrift"}, "startsAt": "2026-05-28T20:00:00Z"}
AS_ALERTMANAGER = {**JSON, "Authorization": "Bearer t1"}


@pytest.mark.parametrize(("left_out", "told"), [pytest.param(0, [], id="none"), pytest.param(7, [7], id="some")])
def test_alerts_are_taken_and_those_left_out_are_told(
    client: httpx.Client, intake: ScriptedIntake, left_out: int, told: list[int]
) -> None:
    alerts = [{**ALERT, "fingerprint": "a"}, {**ALERT, "fingerprint": "b"}, {**ALERT, "fingerprint": ""}]
    body = {"version": "4", "truncatedAlerts": left_out, "alerts": alerts}
    with capture_logs() as lines:
        answer = client.post("/alerts", json=body, headers=AS_ALERTMANAGER)
    assert (answer.status_code, answer.json()["outcomes"]) == (202, ["matched", "matched", "dead_lettered"])
    assert [line["alerts"] for line in lines if line["event"] == "webhook.alerts_left_out"] == told
    assert [event.subject for event in intake.items[:2]] == ["ModelDrift", "ModelDrift"]
    assert len(intake.batches) == 1
    assert intake.batches[0].identity_window == 30 * 86400


def test_alertmanager_is_asked_to_come_again_and_to_prove_itself(client: httpx.Client, intake: ScriptedIntake) -> None:
    body = {"version": "4", "alerts": [{**ALERT, "fingerprint": "a"}]}
    intake.overloaded = 1
    assert_problem(client.post("/alerts", json=body, headers=AS_ALERTMANAGER), 503, "behind")  # the sender retries 5xx
    assert_problem(client.post("/alerts", json=body), 401, "Authorization")
    assert_problem(client.post("/alerts", content=b"x", headers={**AS_ALERTMANAGER, **CSV}), 415, "application/json")
    assert not intake.batches


BODY = b'{"id": "a"}'


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        pytest.param("/signed", stamped(BODY), 202, id="signed"),
        pytest.param("/signed", stamped(BODY, "k0"), 202, id="second-live-secret"),
        pytest.param("/signed", {**JSON, "X-Hub-Signature-256": "sha256=" + sign("k1", BODY)}, 202, id="hub"),
        pytest.param("/signed", stamped(BODY, "k2"), 401, id="wrong-secret"),
        pytest.param("/signed", stamped(b'{"id": "b"}'), 401, id="other-body"),
        pytest.param("/signed", stamped(BODY, at=NOW - 301), 401, id="too-old"),
        pytest.param("/signed", stamped(BODY, at=NOW + 301), 401, id="from-the-future"),
        pytest.param("/signed", JSON, 401, id="unsigned"),
        pytest.param("/token", {**JSON, "Authorization": "Bearer t1"}, 202, id="token"),
        pytest.param("/token", {**JSON, "Authorization": "Bearer t2"}, 401, id="wrong-token"),
        pytest.param("/token", JSON, 401, id="no-token"),
        pytest.param("/both", {**stamped(BODY), "Authorization": "Bearer t1"}, 202, id="both"),
        pytest.param("/both", {**JSON, "Authorization": "Bearer t1"}, 401, id="token-alone"),
        pytest.param("/both", stamped(BODY), 401, id="signature-alone"),
        pytest.param("/lost", {**JSON, "Authorization": "Bearer x"}, 503, id="secret-cannot-be-read"),
    ],
)
def test_only_who_proves_it_is_let_in(
    client: httpx.Client, intake: ScriptedIntake, path: str, headers: dict[str, str], status: int
) -> None:
    answer = client.post(path, content=BODY, headers=headers)
    assert answer.status_code == status
    assert len(intake.batches) == (status == 202)
    assert ("www-authenticate" in answer.headers) == (status == 401)
    assert not any(secret in answer.text for secret in SECRETS.values())


SNS = {"content-type": "text/plain; charset=UTF-8", "x-amz-sns-message-type": "Notification"}


def test_sns_is_asked_for_the_token_as_often_as_it_takes(client: httpx.Client, intake: ScriptedIntake) -> None:
    """SNS sends user and password of the endpoint's URL only after a 401, once for each notification."""
    with capture_logs() as logs:
        for _ in range(MOST_FAILURES + 5):
            asked = client.post("/token", content=BODY, headers=SNS)
            assert_problem(asked, 401, "as the password of Basic")
            assert asked.headers["www-authenticate"] == 'Basic realm="retrainer"'
    assert logs == [], "nothing wrong was sent"
    assert client.post("/token", content=BODY, headers=SNS, auth=("sns", "t1")).status_code == 202
    assert len(intake.batches) == 1


def test_sns_with_a_wrong_token_is_refused_like_anybody(client: httpx.Client, intake: ScriptedIntake) -> None:
    with capture_logs() as logs:
        answer = client.post("/token", content=BODY, headers=SNS, auth=("sns", "t2"))
    assert_problem(answer, 401, "the token is not valid")
    assert [line["event"] for line in logs] == ["web.refused"]
    assert not intake.batches


def test_strangers_cannot_fill_the_dead_letters(client: httpx.Client, intake: ScriptedIntake) -> None:
    assert client.post("/signed", content=b"nonsense", headers=JSON).status_code == 401
    assert not intake.batches


def test_a_replay_within_the_tolerance_is_the_same_event(client: httpx.Client, intake: ScriptedIntake) -> None:
    for at in (NOW, NOW, NOW + 1):
        assert client.post("/anonymous", content=BODY, headers=stamped(BODY, at=at)).status_code == 202
    first, replay, later = (event.id for event in intake.items)
    assert first == replay != later
    assert all(batch.identity_window >= 600 for batch in intake.batches)


@pytest.mark.parametrize("step", [7200, -7200])
def test_signatures_go_by_the_machines_clock_also_after_it_was_set(
    client: httpx.Client, clock: FixedClock, step: int
) -> None:
    clock.set_by = step
    assert client.post("/anonymous", content=BODY, headers=stamped(BODY, at=NOW)).status_code == 401
    assert client.post("/anonymous", content=BODY, headers=stamped(BODY, at=NOW + step)).status_code == 202


def test_requests_without_identity_are_each_new(client: httpx.Client, intake: ScriptedIntake) -> None:
    for _ in range(2):
        client.post("/push", json={"a": 1})
    first, second = intake.items
    assert first.id != second.id


@pytest.mark.parametrize(
    ("path", "sent", "headers"),
    [
        pytest.param("/push", gzip.compress(b'{"rows": 3}'), {}, id="gzip"),
        pytest.param("/small", gzip.compress(json.dumps({"a": "x" * 50}).encode()), {}, id="just-fits"),
    ],
)
def test_compressed_bodies(
    client: httpx.Client, intake: ScriptedIntake, path: str, sent: bytes, headers: dict[str, str]
) -> None:
    answer = client.post(path, content=sent, headers={**JSON, "content-encoding": "gzip"})
    assert answer.json() == {"outcomes": ["matched"]}
    assert intake.items[0].data == json.loads(gzip.decompress(sent))


def test_the_signature_is_over_the_body_as_sent(client: httpx.Client) -> None:
    sent = gzip.compress(BODY)
    assert (
        client.post("/signed", content=sent, headers={**stamped(sent), "content-encoding": "gzip"}).status_code == 202
    )


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"{}", id="not-gzip"),
        pytest.param(gzip.compress(b"{}")[:-4], id="cut-short"),
        pytest.param(gzip.compress(b"{") + gzip.compress(b"}"), id="two-members"),
        pytest.param(b"", id="empty"),
    ],
)
def test_bad_gzip_is_stored_as_sent(client: httpx.Client, intake: ScriptedIntake, sent: bytes) -> None:
    answer = client.post("/push", content=sent, headers={**JSON, "content-encoding": "gzip"})
    assert answer.json()["outcomes"] == ["dead_lettered"]
    assert intake.items[0].payload == sent


def in_chunks(total: int) -> Iterator[bytes]:
    for _ in range(0, total, 1 << 16):
        yield b" " * (1 << 16)


@pytest.mark.parametrize(
    ("path", "content", "encoding"),
    [
        pytest.param("/small", b'{"a": "' + b"x" * 64 + b'"}', "identity", id="small-limit"),
        pytest.param("/push", b" " * ((1 << 20) + 1), "identity", id="default-limit"),
        pytest.param("/push", "chunked", "identity", id="chunked"),
        pytest.param("/push", gzip.compress(b" " * (50 << 20)), "gzip", id="gzip-bomb"),
        pytest.param("/small", gzip.compress(b" " * 65), "gzip", id="one-byte-too-much-inside"),
    ],
)
def test_too_large_bodies_are_refused(
    client: httpx.Client, intake: ScriptedIntake, path: str, content: bytes | str, encoding: str
) -> None:
    body = in_chunks(4 << 20) if isinstance(content, str) else content
    answer = client.post(path, content=body, headers={**JSON, "content-encoding": encoding})
    assert_problem(answer, 413, "max_body")
    assert not intake.batches


def raw_request(port: int, head: str, body: bytes = b"") -> bytes:
    """Send exactly these bytes, then read the response to its end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        connection.sendall(f"POST /hooks/{head}\r\nHost: localhost\r\n\r\n".encode() + body)
        answer = b""
        while received := connection.recv(4096):
            answer += received
    return answer


def test_a_slow_body_is_cut_off(port: int, intake: ScriptedIntake) -> None:
    answer = raw_request(port, "slow HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: 20", b'{"a":')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_timeout" in answer
    assert not intake.batches


@pytest.mark.parametrize("length", ["99999999", "9" * 17])
def test_a_declared_length_is_refused_before_the_body_is_sent(port: int, length: str) -> None:
    answer = raw_request(port, f"push HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {length}")
    assert answer.startswith(b"HTTP/1.1 413 ")


def test_a_body_that_never_ends_is_not_taken(port: int, intake: ScriptedIntake, client: httpx.Client) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=20) as connection:
        head = "POST /hooks/push HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        connection.sendall(f"{head}Content-Length: 20\r\n\r\n{{".encode())
    assert client.post("/push", json={}).status_code == 202
    assert len(intake.items) == 1


def test_many_senders_at_once_are_each_answered(client: httpx.Client, intake: ScriptedIntake) -> None:
    def send(part: int) -> None:
        for n in range(25):
            assert client.post("/push", json={}, headers={"Idempotency-Key": f"{part}-{n}"}).status_code == 202

    threads = [threading.Thread(target=send, args=(part,)) for part in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({event.id for event in intake.items}) == 200
