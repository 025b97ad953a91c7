"""Commands reach a daemon that serves TLS, and say what to do if they do not trust it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.api.app import build
from retrainer.api.certificate import ServedCertificate
from retrainer.api.server import WebServer
from retrainer.config.settings import ServerTls
from tests.houses.certificates import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.api.daemon import Daemon
    from tests.unit.cli.conftest import Ask


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tls")
    Authority(folder / "ca").issue(folder / "pod", "DNS:retrainer.ml.svc")
    return folder


@pytest.fixture
def url(folders: Path, daemon: Daemon) -> Iterator[str]:
    pod = folders / "pod"
    files = {name: str(pod / file) for name, file in (("certificate", "tls.crt"), ("key", "tls.key"))}
    tls = ServerTls(**files, client_authorities=str(pod / "ca.crt"))
    server = WebServer(build(daemon), "127.0.0.1", 0, ServedCertificate(tls, lambda _: None))  # type: ignore[arg-type]
    server.start()
    yield server.url
    server.stop(1.0)


@pytest.fixture
def presenting(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RETRAINER_CERT_FILE", str(folders / "pod" / "tls.crt"))
    monkeypatch.setenv("RETRAINER_KEY_FILE", str(folders / "pod" / "tls.key"))


@pytest.mark.usefixtures("presenting")
@pytest.mark.parametrize("trusted", ["ca/ca.crt", "pod/tls.crt"])
def test_options_and_variables(
    cli: Ask, url: str, folders: Path, monkeypatch: pytest.MonkeyPatch, trusted: str
) -> None:
    file = str(folders / trusted)
    assert "churn" in cli("rules", "--url", url, "--ca-file", file, "--server-name", "retrainer.ml.svc").stdout
    for name, value in (("URL", url), ("CA_FILE", file), ("SERVER_NAME", "retrainer.ml.svc")):
        monkeypatch.setenv(f"RETRAINER_{name}", value)
    assert "churn" in cli("rules").stdout


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], ["--ca-file", "RETRAINER_CA_FILE"], id="an unknown authority"),
        pytest.param(["--ca-file", "ca/ca.crt"], ["--server-name", "RETRAINER_SERVER_NAME"], id="another name"),
        pytest.param(["--ca-file", "none"], ["--ca-file", "cannot be read"], id="no file"),
        pytest.param(["--ca-file", "pod/tls.key"], ["--ca-file", "certificates in PEM"], id="no certificates"),
    ],
)
def test_what_is_not_trusted(cli: Ask, url: str, folders: Path, options: list[str], expected: list[str]) -> None:
    options = [option if option.startswith("--") else str(folders / option) for option in options]
    words = cli("rules", "--url", url, *options, code=2).stderr
    assert all(word in words for word in expected), words


def test_a_daemon_that_demands_a_certificate(cli: Ask, url: str, folders: Path) -> None:
    options = ("--ca-file", str(folders / "ca" / "ca.crt"), "--server-name", "retrainer.ml.svc")
    assert "present a client certificate" in cli("rules", "--url", url, *options, code=1).stderr


def test_a_certificate_of_the_command_that_cannot_be_used(
    cli: Ask, url: str, monkeypatch: pytest.MonkeyPatch, folders: Path
) -> None:
    monkeypatch.setenv("RETRAINER_CERT_FILE", str(folders / "pod" / "tls.crt"))
    monkeypatch.setenv("RETRAINER_KEY_FILE", str(folders / "ca" / "ca.key"))
    assert "RETRAINER_KEY_FILE" in cli("rules", "--url", url, code=2).stderr


def test_plain_http_is_not_verified(cli: Ask) -> None:
    words = cli("rules", "--url", "http://127.0.0.1:1", "--ca-file", "ca.crt", code=2).stderr
    assert "write https://" in words


def test_plain_http_to_tls_says_so(cli: Ask, url: str) -> None:
    assert "https://" in cli("rules", "--url", url.replace("https", "http"), code=2).stderr
