"""The client of the registry's REST API, against a small server on a real socket."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.models import SchemaRegistry
from retrainer.sources import schemas
from retrainer.sources.formats.avro import SchemaUnavailable, SchemaUnusable
from retrainer.sources.schemas import SchemaRegistryClient

if TYPE_CHECKING:
    from collections.abc import Iterator

CUSTOMER = {"type": "record", "name": "acme.Customer", "fields": [{"name": "id", "type": "string"}]}
LINE = {"type": "record", "name": "acme.Line", "fields": [{"name": "by", "type": "acme.Customer"}]}
ORDER = {
    "type": "record",
    "name": "acme.Order",
    "fields": [
        {"name": "by", "type": "acme.Customer"},
        {"name": "lines", "type": {"type": "array", "items": "acme.Line"}},
    ],
}
CUSTOMER_1 = {"name": "acme.Customer", "subject": "cust/omer", "version": 1}
LINE_2 = {"name": "acme.Line", "subject": "line", "version": 2}


def answer(schema: object, *references: object, **more: object) -> tuple[int, Any]:
    return 200, {"schema": json.dumps(schema), **({"references": references} if references else {}), **more}


class Registry(ThreadingHTTPServer):
    """``answers`` by path and query. Anything else gives the registry's not-found error."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[str] = []
        self.authorization: list[str | None] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/api/"


class Handler(BaseHTTPRequestHandler):
    server: Registry

    def do_GET(self) -> None:
        path = self.path.removeprefix("/api")
        self.server.asked.append(path)
        self.server.authorization.append(self.headers["Authorization"])
        status, body = self.server.answers.get(path, (404, {"error_code": 40403, "message": "Schema not found"}))
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        with contextlib.suppress(OSError):  # the client has read enough
            self.wfile.write(raw)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[Registry]:
    server = Registry()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@contextlib.contextmanager
def client(url: str, now: list[float] | None = None, **settings: Any) -> Iterator[SchemaRegistryClient]:
    model = SchemaRegistry.model_validate({"url": url, **settings})
    made = SchemaRegistryClient(model, Path("/"), lambda: now[0] if now else 0.0)
    try:
        yield made
    finally:
        made.close()


def test_a_schema_is_asked_for_once(registry: Registry) -> None:
    registry.answers["/schemas/ids/7"] = answer(CUSTOMER)
    with client(registry.url) as ask:
        assert ask(7).name == "acme.Customer"
        assert ask(7) is ask(7)
    assert registry.asked == ["/schemas/ids/7"]


def test_what_it_refers_to_is_asked_for_first_and_once(registry: Registry) -> None:
    registry.answers |= {
        "/schemas/ids/7": answer(ORDER, LINE_2, CUSTOMER_1, schemaType="AVRO"),
        "/subjects/line/versions/2?deleted=true": answer(LINE, CUSTOMER_1),
        "/subjects/cust%2Fomer/versions/1?deleted=true": answer(CUSTOMER),
    }
    with client(registry.url) as ask:
        assert ask(7).name == "acme.Order"
    assert len(registry.asked) == 3


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param(None, "does not have it", id="unknown"),
        pytest.param(answer(CUSTOMER, schemaType="PROTOBUF"), "of type PROTOBUF, not AVRO", id="protobuf"),
        pytest.param((200, {"schema": "{"}), "no Avro schema", id="broken"),
        pytest.param(answer(LINE, CUSTOMER_1), "refers to cust/omer version 1, which", id="reference-unknown"),
        pytest.param(answer(LINE), "acme.Customer", id="reference-missing"),
        pytest.param(
            answer(LINE, *({"subject": f"s{i}", "version": 1} for i in range(101))),
            "more than 100 others",
            id="too-many-references",
        ),
    ],
)
def test_a_schema_that_nobody_can_read_with(registry: Registry, given: tuple[int, Any] | None, reason: str) -> None:
    registry.answers |= {f"/subjects/s{i}/versions/1?deleted=true": answer("string") for i in range(101)}
    registry.answers |= {"/schemas/ids/7": given} if given else {}
    now = [100.0]
    with client(registry.url, now) as ask:
        for _ in range(2):
            with pytest.raises(SchemaUnusable, match=reason):
                ask(7)
        assert registry.asked.count("/schemas/ids/7") == 1
        now[0] += schemas.UNUSABLE_FOR
        registry.answers["/schemas/ids/7"] = answer(CUSTOMER)
        assert ask(7).name == "acme.Customer"


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        pytest.param((500, b"oops"), "answers 500", id="500"),
        pytest.param((503, {"error_code": 50003}), "answers 503", id="503"),
        pytest.param((429, b""), "answers 429", id="429"),
        pytest.param((401, b""), "username and password, or token", id="401"),
        pytest.param((403, {"error_code": 40301}), "username and password, or token", id="403"),
        pytest.param((404, b"<html>"), "is url correct", id="another-server's-404"),
        pytest.param((302, b""), "answers 302", id="redirect"),
        pytest.param((200, b"<html>"), "is url correct", id="another-server's-page"),
        pytest.param((200, [1]), "is url correct", id="a-list"),
        pytest.param((200, b'"' + b"x" * schemas.LARGEST), "more than 4194304 bytes", id="too-large"),
        pytest.param(answer(LINE, {"subject": "a"}), "invalid references", id="odd-references"),
    ],
)
def test_a_registry_in_trouble_is_asked_again(registry: Registry, given: tuple[int, Any], reason: str) -> None:
    registry.answers["/schemas/ids/7"] = given
    with client(registry.url) as ask:
        with pytest.raises(SchemaUnavailable, match=reason):
            ask(7)
        registry.answers["/schemas/ids/7"] = answer(CUSTOMER)
        assert ask(7).name == "acme.Customer"


def test_a_registry_that_is_not_there(registry: Registry) -> None:
    with client("http://127.0.0.1:1") as ask, pytest.raises(SchemaUnavailable, match="refused"):
        ask(7)


def test_who_we_are_is_said_with_the_secret_as_it_is_now(registry: Registry, tmp_path: Path) -> None:
    registry.answers["/schemas/ids/7"] = answer(CUSTOMER)
    file = tmp_path / "secret"
    with client(registry.url, token={"from_file": str(file)}) as ask:
        with pytest.raises(SchemaUnavailable, match="cannot be read"):
            ask(7)
        file.write_text("t-0001")
        ask(7)
    with client(registry.url, username="u", password={"from_file": str(file)}) as ask:
        ask(7)
    basic = "Basic " + base64.b64encode(b"u:t-0001").decode()
    assert registry.authorization == ["Bearer t-0001", basic]


def test_certificates_that_cannot_be_read_are_named() -> None:
    with (
        client("https://127.0.0.1:1", tls={"ca_file": "/nowhere.pem"}) as ask,
        pytest.raises(SchemaUnavailable, match=r"tls.ca_file /nowhere.pem cannot be read"),
    ):
        ask(7)


def test_only_so_many_schemas_are_kept(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "KEPT", 2)
    registry.answers |= {f"/schemas/ids/{i}": answer(CUSTOMER) for i in range(3)}
    with client(registry.url) as ask:
        for number in (0, 1, 0, 2, 0, 1):
            ask(number)
    assert registry.asked == [f"/schemas/ids/{i}" for i in (0, 1, 2, 1)]
