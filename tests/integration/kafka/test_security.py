"""Brokers that require authentication, and the errors when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import structlog

from tests.integration.kafka.issuer import CLIENT, SECRET, Issuer
from tests.integration.kafka.kit import NAME, await_numbers, kafka, numbered, rule
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.houses.engine import RunningEngine
    from tests.integration.broker import Broker

SASL, SASL_TLS, MUTUAL = 2, 3, 4
USER, PASSWORD, WRONG = "retrainer", "retrainer-secret", "wrong-password-canary"


@pytest.fixture(autouse=True)
def secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSWORD", PASSWORD)
    monkeypatch.setenv("WRONG", WRONG)
    monkeypatch.setenv("OAUTH_SECRET", SECRET)


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()
    yield issuer
    issuer.stop()


def password(mechanism: str, variable: str = "PASSWORD") -> dict[str, Any]:
    return {"mechanism": mechanism, "username": USER, "password": {"from_env": variable}}


def oauth(url: str, variable: str = "OAUTH_SECRET") -> dict[str, Any]:
    asked = {"token_endpoint": url, "client_id": CLIENT, "client_secret": {"from_env": variable}, "scope": "kafka"}
    return {"mechanism": "OAUTHBEARER", "oauth": asked}


def files(broker: Broker, **names: str) -> dict[str, str]:
    """TLS settings with files of the broker's certificates."""
    return {f"{kind}_file": str(broker.tls / name) for kind, name in names.items()}


def reached(broker: Broker, topic: str, listener: int, **settings: Any) -> dict[str, Any]:
    return kafka(broker, topic, **settings) | {"bootstrap_servers": [broker.listener(listener)]}


@pytest.mark.parametrize(
    ("listener", "sasl", "tls"),
    [
        pytest.param(SASL, "PLAIN", None, id="PLAIN"),
        pytest.param(SASL, "SCRAM-SHA-256", None, id="SCRAM-SHA-256"),
        pytest.param(SASL, "SCRAM-SHA-512", None, id="SCRAM-SHA-512"),
        pytest.param(SASL_TLS, "PLAIN", {"ca": "ca.pem"}, id="PLAIN over TLS"),
        pytest.param(SASL_TLS, "SCRAM-SHA-512", {"ca": "ca.pem"}, id="SCRAM-SHA-512 over TLS"),
        pytest.param(MUTUAL, None, {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}, id="mutual TLS"),
    ],
)
def test_records_are_read_by_whoever_is_let_in(
    broker: Broker, house: RunningEngine, listener: int, sasl: str | None, tls: dict[str, str] | None
) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered(range(30)))
    settings: dict[str, Any] = {"sasl": password(sasl)} if sasl else {}
    settings |= {"tls": files(broker, **tls)} if tls else {}
    source = house.source(NAME, reached(broker, topic, listener, **settings), [rule()])
    await_numbers(house, range(30))
    assert source.last_error is None


def test_a_token_is_asked_for_and_lets_us_in(broker: Broker, house: RunningEngine, issuer: Issuer) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered(range(30)))
    source = house.source(NAME, reached(broker, topic, SASL, sasl=oauth(issuer.url)), [rule()])
    await_numbers(house, range(30))
    assert source.last_error is None
    assert issuer.forms == [{"grant_type": ["client_credentials"], "scope": ["kafka"]}]  # one token for all connections


UNTRUSTED = "certificate verify failed"


@pytest.mark.parametrize(
    ("listener", "sasl", "tls", "said"),
    [
        pytest.param(SASL, password("PLAIN", "WRONG"), None, "Authentication failed", id="wrong password, PLAIN"),
        pytest.param(
            SASL, password("SCRAM-SHA-512", "WRONG"), None, "Authentication failed", id="wrong password, SCRAM"
        ),
        pytest.param(SASL_TLS, password("PLAIN"), {"ca": "foreign.pem"}, UNTRUSTED, id="certificate not trusted"),
        pytest.param(MUTUAL, None, {"ca": "ca.pem"}, "bad certificate", id="no certificate of our own"),
        pytest.param(
            MUTUAL,
            None,
            {"ca": "ca.pem", "cert": "stranger.pem", "key": "stranger.key"},
            "certificate unknown",
            id="our certificate not trusted",
        ),
        pytest.param(MUTUAL, None, {"ca": "none.pem"}, "none.pem cannot be read: No such file", id="no such file"),
    ],
)
def test_whoever_is_not_let_in_says_why_without_secrets(
    broker: Broker,
    house: RunningEngine,
    listener: int,
    sasl: dict[str, Any] | None,
    tls: dict[str, str] | None,
    said: str,
) -> None:
    topic = broker.create_topic()
    settings: dict[str, Any] = {"sasl": sasl} if sasl else {}
    settings |= {"tls": files(broker, **tls)} if tls else {}
    with structlog.testing.capture_logs() as logged:
        source = house.source(NAME, reached(broker, topic, listener, **settings), [rule()])
        until(lambda: said.lower() in (source.last_error or "").lower(), f"{said}, not {source.last_error}")
    assert source.poll_errors
    assert PASSWORD not in (source.last_error or "") + str(logged)
    assert WRONG not in (source.last_error or "") + str(logged)


@pytest.mark.parametrize(
    ("variable", "said"),
    [
        pytest.param("WRONG", "it answers 401", id="the client is refused"),
        pytest.param(None, "Connection refused", id="nobody answers"),
    ],
)
def test_a_token_that_is_not_given_is_told(
    broker: Broker, house: RunningEngine, issuer: Issuer, variable: str | None, said: str
) -> None:
    topic = broker.create_topic()
    url = issuer.url if variable else "http://127.0.0.1:9/token"
    settings = reached(broker, topic, SASL, sasl=oauth(url, variable or "OAUTH_SECRET"))
    source = house.source(NAME, settings, [rule()])
    until(lambda: said in (source.last_error or ""), f"{said}, not {source.last_error}")
    assert f"no token from {url}" in (source.last_error or "")
    assert SECRET not in (source.last_error or "")


def test_a_password_that_is_corrected_lets_us_in(
    broker: Broker, house: RunningEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    topic = broker.create_topic()
    broker.produce(topic, numbered(range(30)))
    source = house.source(NAME, reached(broker, topic, SASL, sasl=password("PLAIN", "WRONG")), [rule()])
    until(lambda: source.last_error, "it is told")
    monkeypatch.setenv("WRONG", PASSWORD)
    await_numbers(house, range(30))
    until(lambda: source.last_error is None, "nothing is wrong any more")
