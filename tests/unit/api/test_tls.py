"""The web server over TLS: rotation of the certificate, client certificates, and connections that never encrypt."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
from asyncio import sslproto
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from retrainer.api import connections, tls
from retrainer.api.certificate import ServedCertificate
from retrainer.api.server import WebServer
from retrainer.config.settings import ServerTls
from tests.houses.certificates import Authority, Mount
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from starlette.types import Receive, Scope, Send

LARGE = 3 << 20


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    request = Request(scope, receive)
    size = int(request.query_params.get("size", 0))
    await PlainTextResponse(await request.body() + b"x" * size)(scope, receive, send)


@pytest.fixture(scope="module")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority") / "ca")


@pytest.fixture(scope="module")
def first(issuer: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issuer.issue(tmp_path_factory.mktemp("first") / "tls")


@pytest.fixture(scope="module")
def second(issuer: Authority, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return issuer.issue(tmp_path_factory.mktemp("second") / "tls", days=20)


@pytest.fixture
def mount(tmp_path: Path, first: Path) -> Mount:
    mounted = Mount(tmp_path / "mounted")
    mounted.show(first)
    return mounted


def settings(mount: Mount, **more: str) -> ServerTls:
    files = {"certificate": "tls.crt", "key": "tls.key", **more}
    return ServerTls(**{name: str(mount.folder / file) for name, file in files.items()})


class Served(WebServer):
    """A server with the certificate of a mount, and what was reported about it."""

    def __init__(self, mount: Mount, max_connections: int = 100, **more: str) -> None:
        self.expiries: list[float] = []
        self.certificate = ServedCertificate(settings(mount, **more), self.expiries.append)
        super().__init__(echo, "127.0.0.1", 0, self.certificate, max_connections=max_connections)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)


@pytest.fixture
def serve(mount: Mount) -> Iterator[Any]:
    with contextlib.ExitStack() as stack:

        def start(**options: Any) -> Served:
            server = Served(mount, **options)
            server.start()
            stack.callback(server.stop, 1.0)
            return server

        yield start


def serial(server: Served, trusted: ssl.SSLContext) -> str:
    with trusted.wrap_socket(server.connect(), server_hostname="retrainer.test") as client:
        return str((client.getpeercert() or {})["serialNumber"])


def client_of(server: Served, trusted: ssl.SSLContext) -> httpx.Client:
    return httpx.Client(base_url=server.url, verify=trusted, trust_env=False)


def test_requests_are_answered_over_tls(serve: Any, issuer: Authority) -> None:
    server = serve()
    assert server.url == f"https://127.0.0.1:{server.port}"
    with client_of(server, issuer.trusted()) as client:
        assert client.post("/", content=b"hello").text == "hello"
        assert len(client.get("/", params={"size": LARGE}).content) == LARGE
        assert client.post("/", content=b"x" * LARGE).content == b"x" * LARGE


def test_a_request_in_the_packet_of_the_handshake_is_answered(serve: Any, issuer: Authority) -> None:
    server = serve()
    to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = issuer.trusted().wrap_bio(to_client, to_server, server_hostname="retrainer.test")
    with server.connect() as wire:
        done = False
        while not done:
            with contextlib.suppress(ssl.SSLWantReadError):
                client.do_handshake()
                done = True
            if not done:
                wire.sendall(to_server.read())
                to_client.write(wire.recv(65536))
        client.write(b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nConnection: close\r\n\r\nearly")
        wire.sendall(to_server.read())  # with the last message of the handshake
        answer = b""
        while not answer.endswith(b"early"):
            received = wire.recv(65536)
            assert received, "closed without an answer"
            to_client.write(received)
            with contextlib.suppress(ssl.SSLWantReadError):
                while record := client.read(65536):  # one record of TLS at a time
                    answer += record


@pytest.mark.parametrize(
    ("version", "served"),
    [
        pytest.param(ssl.TLSVersion.TLSv1_1, False, id="TLS 1.1 is refused"),
        pytest.param(ssl.TLSVersion.TLSv1_2, True, id="TLS 1.2"),
        pytest.param(ssl.TLSVersion.TLSv1_3, True, id="TLS 1.3"),
    ],
)
def test_versions(serve: Any, issuer: Authority, version: ssl.TLSVersion, served: bool) -> None:
    trusted = issuer.trusted()
    with pytest.warns(DeprecationWarning, match="TLSv1_1") if not served else contextlib.nullcontext():
        trusted.minimum_version = trusted.maximum_version = version
    trusted.set_ciphers("DEFAULT:@SECLEVEL=0")
    with contextlib.nullcontext() if served else pytest.raises(ssl.SSLError):
        assert serial(serve(), trusted)


def test_a_rotated_certificate_is_served_and_no_connection_is_dropped(
    serve: Any, issuer: Authority, mount: Mount, second: Path
) -> None:
    server, trusted = serve(), issuer.trusted()
    with client_of(server, trusted) as kept:
        before = serial(server, trusted)
        kept.get("/")
        (connection,) = server.connections._of["127.0.0.1"]
        mount.show(second)
        server.certificate.look()
        assert serial(server, trusted) != before
        assert kept.post("/", content=b"still here").text == "still here"
        assert connection in server.connections._of["127.0.0.1"]
    assert 9 * 86400 < server.expiries[1] - server.expiries[0] < 11 * 86400


@pytest.mark.parametrize(
    ("file", "text", "why"),
    [
        pytest.param("tls.key", "first", "values mismatch", id="the key of the former certificate"),
        pytest.param("tls.crt", "no PEM", "cannot be used", id="a file that is no certificate"),
        pytest.param("tls.crt", None, "cannot be read", id="a file that has gone"),
    ],
)
def test_a_broken_pair_keeps_the_former_one(
    serve: Any,
    issuer: Authority,
    mount: Mount,
    first: Path,
    second: Path,
    tmp_path: Path,
    logged: list[Any],
    file: str,
    text: str | None,
    why: str,
) -> None:
    server, trusted = serve(), issuer.trusted()
    before = serial(server, trusted)
    broken = Path(str(tmp_path / "broken"))
    broken.mkdir()
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (broken / name).write_bytes((second / name).read_bytes())
    if text is None:
        (broken / file).unlink()
    else:
        (broken / file).write_text((first / file).read_text() if text == "first" else text)
    mount.show(broken)
    server.certificate.look()
    server.certificate.look()
    reported = [line for line in logged if line["event"] == "tls.not_reloaded"]
    assert len(reported) == 1, "logged once"
    assert why in reported[0]["error"]
    assert serial(server, trusted) == before
    mount.show(second)
    server.certificate.look()
    assert serial(server, trusted) != before


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        pytest.param(
            {"key": "ca.crt"}, r"tls\.crt with .*ca\.crt cannot be used .*key without a password", id="no key"
        ),
        pytest.param({"certificate": "none"}, r"http\.tls\.certificate: .*none cannot be read", id="no file"),
        pytest.param(
            {"client_authorities": "tls.key"}, r"client_authorities: .* has no certificates", id="no authority"
        ),
    ],
)
def test_a_pair_that_cannot_be_used_is_named_at_the_start(mount: Mount, wrong: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ServedCertificate(settings(mount, **wrong), print)


def test_clients_must_present_a_certificate_except_for_probes(
    serve: Any, issuer: Authority, first: Path, tmp_path: Path
) -> None:
    server = serve(client_authorities="ca.crt")
    with client_of(server, issuer.trusted(first)) as known, client_of(server, issuer.trusted()) as anonymous:
        assert known.get("/api").status_code == 200
        refused = anonymous.get("/api")
        assert refused.status_code == 403
        assert "client_authorities" in refused.json()["detail"]
        assert anonymous.get("/healthz").status_code == 200
    stranger = Authority(tmp_path / "other").issue(tmp_path / "stranger")
    with client_of(server, issuer.trusted(stranger)) as unknown, pytest.raises(httpx.TransportError):
        unknown.get("/healthz")


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x16\x03\x01", id="the start of a handshake"),
        pytest.param(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n", id="plain HTTP"),
    ],
)
def test_a_connection_that_never_encrypts_is_closed(serve: Any, monkeypatch: pytest.MonkeyPatch, sent: bytes) -> None:
    monkeypatch.setattr(tls, "HANDSHAKE_TIMEOUT", 0.3)
    server = serve()
    with server.connect() as client:
        client.sendall(sent)
        with contextlib.suppress(ConnectionResetError):
            while client.recv(100):
                pass
    until(lambda: server.connections.total == 0, "it no longer counts")


def test_handshakes_in_progress_do_not_take_the_place_of_clients(serve: Any, issuer: Authority) -> None:
    server = serve(max_connections=3)
    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(server.connect())
        with client_of(server, issuer.trusted()) as client:
            assert client.get("/").status_code == 200
        assert server.connections.total <= 3


def test_a_client_that_does_not_read_is_closed(serve: Any, issuer: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "WRITE_TIMEOUT", 0.2)
    monkeypatch.setattr(connections, "LOOK_EVERY", 0.05)
    server = serve()
    wire = server.connect()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with issuer.trusted().wrap_socket(wire, server_hostname="retrainer.test") as client:
        client.sendall(f"GET /?size={8 * LARGE} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        until(lambda: server.connections.total == 1 and server.connections.busy == 1, "the request is in progress")
        until(lambda: server.connections.total == 0, "it is closed")


def test_a_thousand_connections_fit_into_the_memory_of_a_pod(serve: Any, issuer: Authority) -> None:
    server = serve()
    with client_of(server, issuer.trusted()) as client:
        client.post("/", content=b"x" * LARGE)
        buffers = [len(each._ssl_buffer) for each in gc.get_objects() if isinstance(each, sslproto.SSLProtocol)]
    assert buffers
    assert max(buffers) <= 16384


def test_stop_ends_handshakes_in_progress(serve: Any) -> None:
    server = serve()
    with server.connect():
        until(lambda: server.connections.total == 1, "accepted")
        server.stop(1.0)
        assert not server._thread.is_alive()


def test_the_loop_reports_no_trouble(serve: Any, logged: list[Any]) -> None:
    server = serve()
    for sent in (b"", b"plain text\r\n\r\n", b"\x16\x03\x01\xff\xff" + b"x" * 300):
        with server.connect() as client:
            client.sendall(sent)
    until(lambda: server.connections.total == 0, "all have ended")
    asyncio.run(asyncio.sleep(0))
    assert [line for line in logged if line["event"] == "web.trouble"] == []
