"""Prometheus and Alertmanager sources: each mistake is reported at its position, with a correction."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.config.load import validate

if TYPE_CHECKING:
    from pathlib import Path

RULES = """\
version: 1
sources:
  prometheus: {type: prometheus, url: "http://prometheus:9090"%s}
  alerts: {type: alertmanager, path: /hooks/alerts%s}
rules:
  - {name: churn, triggers: {daily: {schedule: {cron: "@daily"}}}, submit: {workflow_template: churn-train}}
"""
MISSING = (
    "the environment variable NO_SUCH_VARIABLE is not set "
    "(set it where retrainer runs; here set it too, or validate with --ignore-environment)"
)


def problems(folder: Path, text: str) -> list[str]:
    """The problems without file, line and column."""
    (folder / "secret").write_text("s3cr3t")
    (folder / "ca.pem").write_text("PEM")
    (folder / "rules.yaml").write_text(text)
    return [str(problem).split(": ", 1)[1] for problem in validate(str(folder / "rules.yaml"))[1]]


@pytest.mark.parametrize(
    ("prometheus", "alerts"),
    [
        pytest.param("", "", id="the least"),
        pytest.param(
            ", token: {from_file: secret}, tls: {ca_file: ca.pem}", "", id="files seen from the rules' folder"
        ),
        pytest.param(", basic: {username: me, password: {from_file: secret}}", "", id="basic authentication"),
        pytest.param(', headers: {X-Scope-OrgID: "team a|team b"}', "", id="a tenant"),
        pytest.param("", ", token: [{from_file: secret}, {from_file: secret}]", id="two live secrets"),
        pytest.param("", ", hmac: {from_file: secret}", id="signed"),
    ],
)
def test_good_ones(tmp_path: Path, prometheus: str, alerts: str) -> None:
    assert problems(tmp_path, RULES % (prometheus, alerts)) == []


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            ", token: {from_file: secret}, basic: {username: me, password: {from_file: secret}}",
            "token: a password and a token exclude each other (keep one)",
            id="two proofs",
        ),
        pytest.param(", token: {from_env: NO_SUCH_VARIABLE}", f"token: {MISSING}", id="a token that is not there"),
        pytest.param(
            ", basic: {username: me, password: {from_env: NO_SUCH_VARIABLE}}",
            f"basic.password: {MISSING}",
            id="a password that is not there",
        ),
        pytest.param(
            ", tls: {key_file: secret}",
            "tls.key_file: a key without its certificate (add `cert_file`)",
            id="a key alone",
        ),
        pytest.param(
            ", headers: {Authorization: Bearer x}",
            "headers.Authorization: `Authorization` is a secret, and headers are shown "
            "(write `token: {from_env: NAME}` in place of it; the variable holds what follows `Bearer`)",
            id="a secret among the headers",
        ),
        pytest.param(
            ", headers: {Content-Type: text/plain}",
            "headers.Content-Type: `Content-Type` is reserved (remove `Content-Type: text/plain`)",
            id="a header of ours",
        ),
        pytest.param(
            ', headers: {"X Scope": a}',
            "headers.X Scope: `X Scope` is not a valid header name (letters, digits and `-`)",
            id="a name that is none",
        ),
        pytest.param(
            ', headers: {X-Scope-OrgID: "a\\nb"}',
            "headers.X-Scope-OrgID: 'a\\nb' is not a valid header value (printable ASCII without spaces at either end)",
            id="two lines",
        ),
    ],
)
def test_mistakes_about_prometheus(tmp_path: Path, settings: str, expected: str) -> None:
    assert problems(tmp_path, RULES % (settings, "")) == [f"sources.prometheus.{expected}"]


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("prometheus:9090", "is not allowed here", id="no scheme"),
        pytest.param("http://", "'http://' is not an address (write such as http://prometheus:9090)", id="no host"),
        pytest.param("http://prometheus:x", "is not an address", id="no port"),
        pytest.param("http://me:pw@prometheus", "credentials are not allowed in the URL", id="a password"),
        pytest.param("http://prometheus/api/v1/query", "the URL must end before /api/v1/query", id="the endpoint"),
        pytest.param("http://prometheus/?tenant=a", "the URL must end before /api/v1/query", id="a query"),
    ],
)
def test_mistakes_in_the_address(tmp_path: Path, url: str, expected: str) -> None:
    (problem,) = problems(tmp_path, RULES.replace("http://prometheus:9090", url) % ("", ""))
    assert problem.startswith("sources.prometheus.url: ")
    assert expected in problem


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        pytest.param(", token: {from_env: NO_SUCH_VARIABLE}", f"sources.alerts.token: {MISSING}", id="no token"),
        pytest.param(", hmac: {from_env: NO_SUCH_VARIABLE}", f"sources.alerts.hmac: {MISSING}", id="no secret"),
        pytest.param(
            "}\n  push: {type: webhook, path: /hooks/alerts/",
            "sources.push.path: the source `alerts` listens on /hooks/alerts/ already (give each its own path)",
            id="a webhook on the same path",
        ),
        pytest.param(
            "}\n  lake: {type: s3, via: {webhook: {path: /hooks/alerts}}",
            "sources.lake.via.webhook.path: the source `alerts` listens on /hooks/alerts already "
            "(give each its own path)",
            id="notifications on the same path",
        ),
    ],
)
def test_mistakes_about_alertmanager(tmp_path: Path, more: str, expected: str) -> None:
    assert problems(tmp_path, RULES % ("", more)) == [expected]
