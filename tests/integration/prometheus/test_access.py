"""A real Prometheus with TLS and a password."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.config.models import PrometheusSource
from retrainer.sources.prometheus.answer import NoAnswer
from retrainer.sources.prometheus.client import PrometheusClient
from retrainer.util.clock import SystemClock
from tests.integration.conftest import free_ports
from tests.integration.prometheus.conftest import FIRST_PORT
from tests.integration.prometheus.monitoring import Monitoring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PASSWORD, HASHED = "metrics-secret", "$2b$05$EeTMgCIfBK.nWzZSWEVBMeqtV5wzH9FS7.bobsyGFLiNXeELWyyzu"


@pytest.fixture(scope="module")
def guarded() -> Iterator[Monitoring]:
    guarded = Monitoring(free_ports(FIRST_PORT, 2))
    guarded.configure(1, "http://127.0.0.1:1")
    certify(guarded.folder)
    tls = {"cert_file": "server.pem", "key_file": "server.key"}
    guarded.write("web.yml", {"tls_server_config": tls, "basic_auth_users": {"retrainer": HASHED}})
    (guarded.folder / "secret").write_text(PASSWORD)
    (guarded.folder / "wrong").write_text("guessed-secret")
    try:
        guarded.call("start", "prometheus")
        yield guarded
    finally:
        guarded.call("down")


def certify(folder: Path) -> None:
    """Create a self-signed certificate."""
    new = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "30", "-subj", "/CN=prometheus"]
    name = ["-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", folder / "server.key", "-out", folder / "server.pem"]
    subprocess.run([*new, *name, *files], check=True, capture_output=True)


def ask(guarded: Monitoring, **settings: Any) -> float | None:
    url = guarded.url.replace("http://", "https://")
    config = PrometheusSource.model_validate({"type": "prometheus", "url": url, **settings})
    clock = SystemClock()
    client = PrometheusClient(config, guarded.folder, clock)
    try:
        return client.ask("scalar(vector(2)) * 3", clock.now()).series[0].value
    finally:
        client.close()


def basic(guarded: Monitoring, file: str = "secret") -> dict[str, Any]:
    return {"username": "retrainer", "password": {"from_file": str(guarded.folder / file)}}


TRUSTED = {"ca_file": "server.pem"}


def test_who_trusts_and_is_known_gets_an_answer(guarded: Monitoring) -> None:
    assert ask(guarded, tls=TRUSTED, basic=basic(guarded)) == 6.0


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        pytest.param({}, "CERTIFICATE_VERIFY_FAILED", id="an authority that nobody knows"),
        pytest.param({"tls": TRUSTED}, "it answers 401; are token or basic correct?", id="no password"),
        pytest.param({"tls": TRUSTED, "basic": "wrong"}, "it answers 401", id="a wrong password"),
    ],
)
def test_who_is_not_let_in_is_told_why(guarded: Monitoring, settings: dict[str, Any], error: str) -> None:
    given = {name: basic(guarded, value) if name == "basic" else value for name, value in settings.items()}
    with pytest.raises(NoAnswer, match=error.replace("?", ".")) as caught:
        ask(guarded, **given)
    assert "secret" not in str(caught.value)
