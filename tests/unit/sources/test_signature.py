import base64

import pytest

from retrainer.sources.http.signature import (
    SignatureTerms,
    Signed,
    SignedRequest,
    Unproven,
    check_signature,
    check_token,
    sign,
)

NOW = 1_780_000_000.0
BODY = b'{"rows": 3}'


def stamped(secret: str = "new", at: float | str = int(NOW), body: bytes = BODY) -> dict[str, str]:
    return {"x-retrainer-signature": f"t={at},v1={sign(secret, f'{at}.'.encode() + body)}"}


def check(headers: dict[str, str], secrets: list[str], *, schemes: tuple[str, ...] = ("v2", "v1", "hub")) -> Signed:
    return check_signature(SignedRequest(headers, BODY, "/hooks/push"), secrets, SignatureTerms(NOW, 300, schemes))


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
    check(headers, ["new", "old"])


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
        check(headers, ["new", "old"])


def basic(credentials: str) -> str:
    return f"Basic {base64.b64encode(credentials.encode()).decode()}"


def test_an_empty_secret_proves_nothing() -> None:
    with pytest.raises(Unproven):
        check(plain(""), [""])
    with pytest.raises(Unproven):
        check_token({"authorization": basic("sns:")}, [""])
    with pytest.raises(Unproven):
        check_token({"authorization": "Bearer "}, [""])


def test_a_replay_is_known_by_the_signed_text_and_a_new_request_is_new() -> None:
    first, replay, later = (check(stamped(at=at), ["new"]).identity for at in (1780000000,) * 2 + (1780000001,))
    assert first == replay != later


@pytest.mark.parametrize(
    ("header", "good"),
    [
        pytest.param("Bearer new", True, id="good"),
        pytest.param("bearer old", True, id="second-live-token"),
        pytest.param("Bearer newer", False, id="longer"),
        pytest.param("Bearer ü", False, id="not-ascii"),
        pytest.param("Digest new", False, id="other-scheme"),
        pytest.param(basic("sns:new"), True, id="as the password of Basic"),
        pytest.param(basic(":old"), True, id="as the password of nobody"),
        pytest.param(basic("new"), False, id="as a user without a password"),
        pytest.param(basic("new:"), False, id="as a user with an empty password"),
        pytest.param(basic("a:new:b"), False, id="part of a password"),
        pytest.param("Basic new", False, id="Basic that is no base64"),
        pytest.param("Basic /////w==", False, id="Basic that is no text"),
        pytest.param("", False, id="missing"),
    ],
)
def test_tokens(header: str, good: bool) -> None:
    if good:
        check_token({"authorization": header}, ["new", "old"])
    else:
        with pytest.raises(Unproven):
            check_token({"authorization": header}, ["new", "old"])


SENT = {"content-type": "application/json", "ce-id": "7", "ce-type": "harmless", "user-agent": "curl"}
SIGNED_TEXT = b"v2\n1780000000\n/hooks/push\nce-id:7\nce-type:harmless\ncontent-type:application/json\n\n" + BODY


def second(headers: dict[str, str] = SENT, text: bytes = SIGNED_TEXT, named: str = "") -> dict[str, str]:
    return {**headers, "x-retrainer-signature": f"t=1780000000{named},v2={sign('new', text)}"}


def test_version_2_covers_what_the_body_means() -> None:
    signed = check(second(), ["new"])
    assert (signed.scheme, signed.covered) == ("v2", {"content-type", "ce-id", "ce-type"})


@pytest.mark.parametrize(
    "headers",
    [
        pytest.param({**second(), "ce-type": "go"}, id="an attribute is another"),
        pytest.param({**second(), "ce-extra": "x"}, id="an attribute more"),
        pytest.param({name: value for name, value in second().items() if name != "ce-id"}, id="an attribute less"),
        pytest.param({**second(), "content-type": "text/plain"}, id="the content type is another"),
        pytest.param({**second(), "content-encoding": "gzip"}, id="it claims to be compressed"),
        pytest.param({**second(), "idempotency-key": "2"}, id="a key that makes it new"),
        pytest.param({**second(), "retrainer-run": "01R"}, id="a run that is said to have sent it"),
        pytest.param(second(text=SIGNED_TEXT.replace(b"push", b"other")), id="signed for another source"),
        pytest.param(second(text=SIGNED_TEXT.replace(b"1780000000", b"1780000001")), id="signed for another time"),
        pytest.param(second(text=b"1780000000." + BODY), id="signed as version 1"),
    ],
)
def test_version_2_is_spoilt_by_a_change(headers: dict[str, str]) -> None:
    with pytest.raises(Unproven, match="does not match timestamp, path, headers"):
        check(headers, ["new"])


def with_names(names: str, headers: dict[str, str], lines: str) -> dict[str, str]:
    """Headers signed with ``names``. ``lines`` are the lines of these headers, in order."""
    return second(headers, f"v2\n1780000000\n/hooks/push\nh={names}\n{lines}\n".encode() + BODY, f",h={names}")


def test_other_headers_may_change_on_the_way_unless_they_are_named() -> None:
    assert check({**second(), "user-agent": "proxy"}, ["new"]).scheme == "v2"
    named = with_names("X-Tenant; user-agent", {"user-agent": "curl", "x-tenant": "a"}, "user-agent:curl\nx-tenant:a\n")
    assert check(named, ["new"]).covered == {"x-tenant", "user-agent"}
    for change in ({"x-tenant": "b"}, {"user-agent": "proxy"}):
        with pytest.raises(Unproven, match="does not match"):
            check({**named, **change}, ["new"])


URN = second({"ce-subject": "urn:"}, b"v2\n1780000000\n/hooks/push\nce-subject:urn:\n\n" + BODY)
EMPTY = with_names("x-tenant", {"x-tenant": ""}, "x-tenant:\n")
TWO = with_names("a;b", {"a": "1", "b": "2"}, "a:1\nb:2\n")


def without(name: str, headers: dict[str, str], old: str = "", new: str = "") -> dict[str, str]:
    """The captured headers without ``name``, and with ``old`` replaced by ``new`` in the signature's parameters."""
    return {key: value.replace(old, new, 1) for key, value in headers.items() if key != name}


@pytest.mark.parametrize(
    ("genuine", "altered", "error"),
    [
        pytest.param(
            URN, without("ce-subject", URN, ",v2", ",h=ce-subject:urn,v2"), "invalid header", id="a name with ':'"
        ),
        pytest.param(URN, without("ce-subject", URN, ",v2", ",h=ce-subject,v2"), "does not have", id="a name for it"),
        pytest.param(URN, {**URN, **without("", URN, ",v2", ",h=ce-subject,v2")}, "does not match", id="named as well"),
        pytest.param(EMPTY, without("x-tenant", EMPTY), "does not have", id="an empty one is taken away"),
        pytest.param(EMPTY, without("", EMPTY, ",h=x-tenant", ""), "does not match", id="the names are taken away"),
        pytest.param(TWO, without("", TWO, "h=a;b", "h=b;a"), "does not match", id="the names in another order"),
        pytest.param(TWO, without("", TWO, "h=a;b", "h=a;;b"), "invalid header", id="a name that is empty"),
    ],
)
def test_the_names_of_headers_are_signed_too(genuine: dict[str, str], altered: dict[str, str], error: str) -> None:
    check(genuine, ["new"])
    with pytest.raises(Unproven, match=error):
        check(altered, ["new"])


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("é".encode(), id="UTF-8"),
        pytest.param("caf\xe9".encode("latin-1"), id="Latin-1"),
        pytest.param("à".encode(), id="a byte that is a blank in Latin-1"),
        pytest.param(b"\x85", id="a byte that is a line break in Latin-1"),
    ],
)
def test_the_bytes_of_a_header_are_signed_as_they_were_sent(value: bytes) -> None:
    text = b"v2\n1780000000\n/hooks/push\nidempotency-key:" + value + b"\n\n" + BODY
    check(second({"idempotency-key": f" {value.decode('latin-1')}\t"}, text), ["new"])


def test_of_two_versions_the_better_one_counts() -> None:
    good_v1 = stamped()["x-retrainer-signature"]
    with pytest.raises(Unproven):
        check({"x-retrainer-signature": good_v1 + ",v2=00"}, ["new"])
    assert check({"x-retrainer-signature": good_v1 + ",v2=00"}, ["new"], schemes=("v1",)).scheme == "v1"


@pytest.mark.parametrize(
    ("headers", "schemes", "error"),
    [
        pytest.param(stamped(), ("v2",), "t=<seconds>,v2=<hex>", id="version 1"),
        pytest.param(plain(), ("v2", "v1"), "a signature is needed", id="of the body alone"),
        pytest.param(second(), ("v1", "hub"), "t=<seconds>,v1=<hex>", id="version 2"),
    ],
)
def test_a_scheme_that_is_not_accepted_is_told_what_is(
    headers: dict[str, str], schemes: tuple[str, ...], error: str
) -> None:
    with pytest.raises(Unproven, match=error):
        check(headers, ["new"], schemes=schemes)
