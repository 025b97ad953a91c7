"""What is removed from values before they leave the machine, and what is kept."""

from __future__ import annotations

from typing import Any

import pytest

from retrainer.telemetry.redact import redact, redact_text
from retrainer.telemetry.secrets import Secrets

JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJoNHVudGVyMiJ9.h4unter2"


@pytest.mark.parametrize(
    "value",
    [
        {"password": "h4unter2"},
        {"password": ["h4unter2"]},
        {"secrets": {"db": "h4unter2", "more": {"x": ["h4unter2"]}}},
        {"token": {"from_env": "h4unter2"}},
        {"token": {"from_file": "h4unter2"}},
        {"env": [{"name": "DB_PASSWORD", "value": "h4unter2"}]},
        {"parameters": [{"name": "api-key", "default": "h4unter2"}]},
        {"X-Api-Key": "h4unter2"},
        {"aws_secret_access_key": "h4unter2"},
        {"pwd": "h4unter2"},
        {"url": "https://u:h4unter2@host/x"},
        {"url": "https://u:p@ss/h4unter2@host/x"},
        {"url": "https://h4unter2@host/x"},
        {"url": "https://host/x?a=b&sig=h4unter2&c=d"},
        {"url": "https://host/x?X-Amz-Signature=h4unter2"},
        {"url": "https://host/x?access_token=h4unter2"},
        {"command": "curl -H 'Authorization: Bearer h4unter2' host"},
        {"args": ["login", "--password h4unter2"]},
        {"args": "login --token=h4unter2 host"},
        {"script": "export DB_PASSWORD='h4unter2'; run"},
        {"dsn": "host=db user=u password=h4unter2"},
        {"text": JWT},
        {"text": "-----BEGIN RSA PRIVATE KEY-----\nh4unter2\n-----END RSA PRIVATE KEY-----"},
        {"text": "AKIAH4UNTER2H4UNTER2"},
        {"text": "ghp_h4unter2h4unter2"},
        {"known": "before s3cr3t-value after"},
        {"s3cr3t-value": 1},
        {"number": 31415926},
    ],
    ids=str,
)
def test_removed(value: Any) -> None:
    secrets = Secrets()
    secrets.hide("s3cr3t-value")
    secrets.hide("31415926")
    told = str(redact(value, secrets)).lower()
    assert "***" in told
    assert not any(word in told for word in ("h4unter2", "s3cr3t-value", "31415926"))


@pytest.mark.parametrize(
    "value",
    [
        {"password": {"from_env": "DB_PASSWORD"}, "token": {"from_file": "/secrets/token"}},
        {"token": None, "read_token": None, "secret": True},
        {"url": "https://host.example:8443/path?cluster=a", "topics": ["clicks"], "at_least": {"events": 5}},
        {"key": "event.data.customer", "group_id": "g", "for_each": "event.data.key"},
        {"reason": "batch_complete", "id": "01JH2Z", "at": 1.5},
    ],
    ids=str,
)
def test_kept(value: Any) -> None:
    assert redact(value, Secrets()) == value


def test_metrics_are_kept() -> None:
    text = '# HELP x Requests without a token.\nretrainer_http_token_failures_total{rule="a"} 5.0\n'
    assert redact_text(text, Secrets()) == text
