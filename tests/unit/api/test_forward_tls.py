"""A replica forwards a change to the leader over TLS, and verifies who that is."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from retrainer.api.app import build
from retrainer.api.certificate import ServedCertificate
from retrainer.api.server import WebServer
from retrainer.config.settings import ServerTls
from tests.houses.certificates import Authority
from tests.unit.api.daemon import Daemon

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAME = "DNS:retrainer.ml.svc"


def served(folder: Path, **more: str) -> ServedCertificate:
    files = {"certificate": str(folder / "tls.crt"), "key": str(folder / "tls.key")}
    return ServedCertificate(ServerTls(**files, **more), lambda _: None)


@contextlib.contextmanager
def serving(daemon: Any, certificate: ServedCertificate) -> Iterator[WebServer]:
    daemon.certificate = certificate
    server = WebServer(build(daemon), "127.0.0.1", 0, certificate)
    server.start()
    try:
        yield server
    finally:
        server.stop(1.0)
        daemon.memory.close()


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("forward")
    authority = Authority(folder / "ca")
    authority.issue(folder / "pods", NAME)
    authority.issue(folder / "renewed", NAME)
    authority.issue(folder / "elsewhere", "DNS:another.test")
    return folder


@pytest.mark.parametrize(
    ("leader", "follower", "more", "code"),
    [
        pytest.param("pods", "pods", {}, 200, id="all replicas have one certificate"),
        pytest.param("renewed", "pods", {"replica_authorities": "ca/ca.crt"}, 200, id="the leader has the renewed one"),
        pytest.param("renewed", "pods", {}, 503, id="the leader has one of an unknown authority"),
        pytest.param("elsewhere", "pods", {"replica_authorities": "ca/ca.crt"}, 503, id="one for another name"),
        pytest.param(
            *("elsewhere", "pods", {"replica_authorities": "ca/ca.crt", "replica_name": "another.test"}, 200),
            id="one for the name in the settings",
        ),
        pytest.param("pods", "pods", {"client_authorities": "ca/ca.crt"}, 200, id="both demand certificates"),
    ],
)
def test_a_change_reaches_only_the_leader(
    folders: Path, leader: str, follower: str, more: dict[str, str], code: int
) -> None:
    more = {name: str(folders / value) if "/" in value else value for name, value in more.items()}
    first, second = Daemon(), Daemon()
    demands = {name: value for name, value in more.items() if name == "client_authorities"}
    with (
        serving(first, served(folders / leader, **demands)) as leading,
        serving(second, served(folders / follower, **more)) as following,
    ):
        second.leader = lambda: leading.url  # type: ignore[method-assign]
        trusted = Authority.trusting(folders / "ca", folders / "pods")
        with httpx.Client(verify=trusted, trust_env=False) as client:
            answer = client.post(
                f"{following.url}/api/v1/rules/churn/pause",
                json={"note": "n"},
                extensions={"sni_hostname": "retrainer.ml.svc"},
            )
    assert answer.status_code == code, answer.text
    assert first.asked == ([("pause", "churn", "n")] if code == 200 else [])
    assert second.asked == []
    assert code == 200 or "CERTIFICATE_VERIFY_FAILED" in answer.json()["detail"]
