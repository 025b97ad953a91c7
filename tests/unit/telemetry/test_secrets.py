"""The encodings in which a secret is recognized and masked."""

from __future__ import annotations

import base64
import html
import json
import re
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, quote_plus

import httpx
import pytest
from structlog.testing import capture_logs

from retrainer.api.source_operations import describe
from retrainer.config.check_secrets import check_secrets
from retrainer.config.models import BasicAuth, FromEnv, PrometheusSource
from retrainer.sources.http.refusal import Refusal
from retrainer.sources.prometheus.client import _words
from retrainer.telemetry import secrets as secrets_module
from retrainer.telemetry.secrets import MASK, MOST_PASSING, Secrets, reveal

if TYPE_CHECKING:
    from collections.abc import Callable

VALUE = 'CANARY"a&b\\c%+é/x'


def basic(user: str) -> str:
    return base64.b64encode(f"{user}:{VALUE}".encode()).decode()


@pytest.mark.parametrize(
    "echo",
    [
        pytest.param(lambda v: v, id="as it is"),
        pytest.param(json.dumps, id="in JSON, ASCII alone"),
        pytest.param(lambda v: json.dumps(v, ensure_ascii=False), id="in JSON"),
        pytest.param(repr, id="in a repr"),
        pytest.param(lambda v: quote(v, safe=""), id="in a URL"),
        pytest.param(quote, id="in a URL's path"),
        pytest.param(quote_plus, id="in a form"),
        pytest.param(lambda v: re.sub("%..", lambda found: found[0].lower(), quote(v, safe="")), id="in small hex"),
        pytest.param(html.escape, id="in HTML"),
        pytest.param(lambda v: base64.b64encode(v.encode()).decode(), id="in base64"),
        pytest.param(lambda v: base64.urlsafe_b64encode(v.encode()).decode(), id="in base64 for URLs"),
        pytest.param(lambda _: basic("u"), id="behind a user of one letter"),
        pytest.param(lambda _: basic("us"), id="behind a user of two"),
        pytest.param(lambda _: basic("use"), id="behind a user of three"),
    ],
)
def test_every_form_is_masked(echo: Callable[[str], str]) -> None:
    secrets = Secrets()
    secrets.hide(VALUE)
    said = f"<<{echo(VALUE)}>>"
    for masked in (secrets.mask(said), secrets.mask_bytes(said.encode()).decode()):
        assert MASK in masked
        left = masked.replace(MASK, "")
        assert "CANARY" not in left
        assert len(left) < len("<<>>") + 12, left  # with base64, the edges depend on the adjacent text


def test_each_line_of_a_secret_of_several_is_masked_and_short_ones_are_not() -> None:
    secrets = Secrets()
    secrets.hide("-- BEGIN --\nMIIEvgIBADANBg\n-- END --\nok")
    assert secrets.mask("bad line MIIEvgIBADANBg, ok") == f"bad line {MASK}, ok"


def test_of_tokens_that_pass_the_last_ones_are_known() -> None:
    secrets = Secrets()
    secrets.hide("configured-for-good")
    for number in range(10 * MOST_PASSING):
        secrets.hide_passing(f"token-number-{number:04}")
    assert secrets.mask("configured-for-good token-number-0159 token-number-0000") == f"{MASK} {MASK} token-number-0000"
    assert len(secrets._forms) < 20 * (MOST_PASSING + 1)


def test_a_secret_too_short_to_mask_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TINY", "Zq7")
    secrets_module._SHORT_TOLD.clear()
    with capture_logs() as lines:
        assert [reveal(FromEnv(from_env="TINY")) for _ in range(2)] == ["Zq7", "Zq7"]
    assert [line["event"] for line in lines] == ["secret.too_short_to_mask"]
    assert "Zq7" not in str(lines)


def test_a_secret_that_was_only_looked_at_is_known_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKED_AT", "CANARY-looked-at")
    assert not list(check_secrets(("token",), FromEnv(from_env="LOOKED_AT")))
    assert secrets_module.SECRETS.mask("/hooks/CANARY-looked-at") == f"/hooks/{MASK}"


@pytest.fixture
def known(monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("KNOWN", "CANARY-known-to-all")
    return reveal(FromEnv(from_env="KNOWN"))


def test_what_a_server_sends_back_is_masked_before_it_is_cut(known: str) -> None:
    error = httpx.HTTPError("x" * 190 + known)
    assert "CANARY" not in _words(error)


def test_no_answer_of_the_api_has_it(known: str) -> None:
    assert known.encode() not in bytes(Refusal(400, f"you sent {known}").response().body)


def test_what_troubles_a_source_is_shown_without_it(known: str) -> None:
    troubled: Any = SimpleNamespace(
        last_error=f"it says: you sent {known}", poll_errors=0, lag=None, halted={"t/0": f"refused: {known}"}
    )
    config = PrometheusSource(
        type="prometheus", url="http://p:9090", basic=BasicAuth(username="u", password=FromEnv(from_env="KNOWN"))
    )
    told = describe("p", config, troubled, None, 0.0)
    assert "CANARY" not in str(told)
    assert MASK in told["last_error"]


def test_a_hint_how_to_send_a_token_stays_as_it_is() -> None:
    hint = "send the token in http.token as `Authorization: Bearer …`, or as the password of Basic"
    assert Secrets().mask(hint) == hint
