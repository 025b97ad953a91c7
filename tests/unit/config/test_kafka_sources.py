"""Kafka sources: each mistake is reported at its position, with a correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config.load import validate

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
version: 1
sources:
  orders: {type: kafka, bootstrap_servers: ["kafka:9092"], topics: [orders], group_id: retrainer%s}
rules:
  - {name: churn, triggers: {new: {data: {source: orders}}}, submit: {workflow_template: churn-train}}
"""
MISSING = (
    "the environment variable NO_SUCH_VARIABLE is not set "
    "(set it where retrainer runs; here set it too, or validate with --ignore-environment)"
)
OAUTH = "oauth: {token_endpoint: 'https://id/token', client_id: me, client_secret: {from_file: secret}}"


def problems(folder: Path, settings: str) -> list[str]:
    """The problems without file, line and column."""
    (folder / "secret").write_text("s3cr3t")
    (folder / "ca.pem").write_text("PEM")
    (folder / "rules.yaml").write_text(RULES % settings)
    return [str(problem).split(": ", 1)[1] for problem in validate(str(folder / "rules.yaml"))[1]]


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param("", id="the least"),
        pytest.param(", tls: {ca_file: ca.pem}", id="a file seen from the folder of the rules"),
        pytest.param(", sasl: {mechanism: PLAIN, username: me, password: {from_file: secret}}", id="a secret's file"),
        pytest.param(f", tls: {{}}, sasl: {{mechanism: OAUTHBEARER, {OAUTH}}}", id="tokens"),
        pytest.param(", tls: {}, sasl: {mechanism: AWS_MSK_IAM}", id="credentials of AWS"),
        pytest.param(", format: avro, schema_registry: {url: 'http://registry'}, id: data.id", id="avro"),
    ],
)
def test_good_ones(tmp_path: Path, settings: str) -> None:
    assert problems(tmp_path, settings) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            ", start: {timestamp: '2026-02-30T08:00:00Z'}",
            "sources.orders.start.timestamp: '2026-02-30T08:00:00Z' is not a time: day is out of range for month "
            "(write such as 2026-11-24T08:00:00Z)",
            id="a day that does not exist",
        ),
        pytest.param(
            ", sasl: {mechanism: SCRAM-SHA-512, username: me}",
            "sources.orders.sasl: SCRAM-SHA-512 needs a password (add `password: {from_env: NAME}` to `sasl`)",
            id="no password",
        ),
        pytest.param(
            ", sasl: {mechanism: PLAIN, username: me, password: {from_env: NO_SUCH_VARIABLE}}",
            f"sources.orders.sasl.password: {MISSING}",
            id="a password that is not there",
        ),
        pytest.param(
            ", sasl: {mechanism: OAUTHBEARER}",
            "sources.orders.sasl: OAUTHBEARER needs a token endpoint "
            "(add `oauth: {token_endpoint: https://…, client_id: NAME, client_secret: {from_env: NAME}}` to `sasl`)",
            id="no tokens",
        ),
        pytest.param(
            ", sasl: {mechanism: AWS_MSK_IAM}",
            "sources.orders.sasl.mechanism: AWS_MSK_IAM needs TLS (add `tls: {}` to the source, beside `sasl`)",
            id="MSK in the clear",
        ),
        pytest.param(
            ", tls: {}, sasl: {mechanism: AWS_MSK_IAM, username: me}",
            "sources.orders.sasl.username: AWS_MSK_IAM takes no username (remove the line)",
            id="a name too many",
        ),
        pytest.param(
            ", format: avro",
            'sources.orders.format: `avro` needs a registry for its schemas (add `schema_registry: {url: "http://registry:8081"}`)',
            id="avro without a registry",
        ),
        pytest.param(
            ", schema_registry: {url: 'http://registry'}",
            "sources.orders.schema_registry: `json` records have no schema (remove it, or write `format: avro`)",
            id="a registry for nothing",
        ),
        pytest.param(
            ", format: avro, schema_registry: {url: 'http://registry', username: me}",
            "sources.orders.schema_registry: `username` and `password` go together (add the other, or remove both)",
            id="half a login",
        ),
        pytest.param(
            ", format: cloudevents, id: data.id",
            "sources.orders.id: `id` is for `format: json or avro`; cloudevents events carry their own "
            "(remove the line)",
            id="id of a format that has its own",
        ),
        pytest.param(
            ", tls: {key_file: secret}",
            "sources.orders.tls.key_file: a key without its certificate (add `cert_file`)",
            id="a key alone",
        ),
    ],
)
def test_mistakes(tmp_path: Path, settings: str, expected: str) -> None:
    assert problems(tmp_path, settings) == [expected]


def test_a_broker_without_a_port(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text((RULES % "").replace("kafka:9092", "kafka"))
    (problem,) = validate(str(tmp_path / "rules.yaml"))[1]
    assert (problem.path, problem.message) == ("sources.orders.bootstrap_servers[0]", "'kafka' is not host:port")


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES % ", tls: {ca_file: nowhere.pem}")
    (problem,) = validate(str(tmp_path / "rules.yaml"))[1]
    assert problem.message == f"{tmp_path / 'nowhere.pem'} cannot be read on this machine (No such file or directory)"
