import pytest

from retrainer.sources.http.signature import Unproven, check_signature, check_token, sign

NOW = 1_780_000_000.0
BODY = b'{"rows": 3}'


def stamped(secret: str = "new", at: float | str = int(NOW), body: bytes = BODY) -> dict[str, str]:
    return {"x-retrainer-signature": f"t={at},v1={sign(secret, f'{at}.'.encode() + body)}"}


def plain(secret: str = "new", body: bytes = BODY) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={sign(secret, body)}"}


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param(stamped(), id="stamped"),
        pytest.param(stamped("old"), id="second-live-secret"),
        pytest.param(stamped(at="1780000000.25"), id="fraction"),
        pytest.param(stamped(at=int(NOW) - 300), id="oldest"),
        pytest.param(stamped(at=int(NOW) + 300), id="sender-ahead"),
        pytest.param({"x-retrainer-signature": stamped()["x-retrainer-signature"] + ", v1=00"}, id="several"),
        pytest.param(plain(), id="plain"),
        pytest.param(plain("old"), id="plain-second-live-secret"),
    ],
)
def test_a_good_signature_is_accepted(headers: dict[str, str]) -> None:
    check_signature(headers, BODY, ["new", "old"], NOW, 300)


@pytest.mark.parametrize(
    ("headers", "error"),
    [
        pytest.param({}, "is needed", id="none"),
        pytest.param(stamped("other"), "does not match", id="wrong-secret"),
        pytest.param(stamped(body=b"{}"), "does not match", id="other-body"),
        pytest.param({"x-retrainer-signature": "v1=00"}, "no timestamp", id="no-timestamp"),
        pytest.param({"x-retrainer-signature": "t=now,v1=00"}, "no timestamp", id="timestamp-in-words"),
        pytest.param({"x-retrainer-signature": "t=1780000000"}, "does not match", id="no-mac"),
        pytest.param({"x-retrainer-signature": "t=1780000000,v1=ü"}, "does not match", id="not-hex"),
        pytest.param({"x-retrainer-signature": ""}, "no timestamp", id="empty"),
        pytest.param(stamped(at=int(NOW) - 301), "more than 300 s", id="too-old"),
        pytest.param(stamped(at=int(NOW) + 301), "more than 300 s", id="too-new"),
        pytest.param(plain("other"), "does not match", id="plain-wrong-secret"),
        pytest.param({"x-hub-signature-256": "sha256="}, "does not match", id="plain-empty"),
        pytest.param({**plain(), "x-retrainer-signature": "t=1,v1=0"}, "does not match", id="the-stamped-one-counts"),
    ],
)
def test_a_bad_signature_is_refused(headers: dict[str, str], error: str) -> None:
    with pytest.raises(Unproven, match=error):
        check_signature(headers, BODY, ["new", "old"], NOW, 300)


def test_an_empty_secret_proves_nothing() -> None:
    with pytest.raises(Unproven):
        check_signature(plain(""), BODY, [""], NOW, 300)
    with pytest.raises(Unproven):
        check_token({"authorization": "Bearer "}, [""])


def test_a_replay_is_known_by_the_signed_text_and_a_new_request_is_new() -> None:
    first, replay, later = (
        check_signature(stamped(at=at), BODY, ["new"], NOW, 300) for at in (1780000000,) * 2 + (1780000001,)
    )
    assert first == replay != later


@pytest.mark.parametrize(
    ("header", "good"),
    [
        pytest.param("Bearer new", True, id="good"),
        pytest.param("bearer old", True, id="second-live-token"),
        pytest.param("Bearer newer", False, id="longer"),
        pytest.param("Bearer ü", False, id="not-ascii"),
        pytest.param("Basic new", False, id="other-scheme"),
        pytest.param("", False, id="missing"),
    ],
)
def test_tokens(header: str, good: bool) -> None:
    if good:
        check_token({"authorization": header}, ["new", "old"])
    else:
        with pytest.raises(Unproven):
            check_token({"authorization": header}, ["new", "old"])
