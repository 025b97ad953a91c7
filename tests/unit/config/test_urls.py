"""URLs must not contain credentials, because they are shown in lists and errors, and are kept in the store."""

from __future__ import annotations

import pytest

from retrainer.config.check_secrets import check_url


@pytest.mark.parametrize(
    "url",
    [
        pytest.param("https://user:CANARY@host/1/q", id="a user and a password"),
        pytest.param("https://CANARY@host", id="a token for a user"),
        pytest.param("https://:CANARY@host", id="a password alone"),
        pytest.param("https://host/?access_token=CANARY", id="a token in the query"),
        pytest.param("https://host/?a=1&sig=CANARY", id="a signature in the query"),
        pytest.param("https://user:CANARY@[host", id="what is no URL"),
    ],
)
def test_credentials_are_refused_and_not_repeated(url: str) -> None:
    (finding,) = check_url(("url",), url, "use `token`")
    assert "CANARY" not in str(finding)
    assert finding.hint


@pytest.mark.parametrize(
    "url", [None, "https://host:8443/path", "http://127.0.0.1:9000", "https://sqs.eu-west-1.amazonaws.com/1/q?x=1"]
)
def test_other_addresses_are_taken(url: str | None) -> None:
    assert list(check_url(("url",), url, "use `token`")) == []
