import orjson
import pytest

from retrainer.workflows.argo.errors import classify
from retrainer.workflows.base import AlreadyExists, Ambiguous, Later, Refused, WorkflowError


def status(message: str, reason: str = "", **details: str) -> bytes:
    return orjson.dumps({"kind": "Status", "message": message, "reason": reason, "details": details})


CASES = [
    pytest.param(400, status("strict decoding error: unknown field"), Refused, "400", None, id="400 unknown field"),
    pytest.param(422, status("spec: Invalid value"), Refused, "422", None, id="422 invalid"),
    pytest.param(413, b"too large", Refused, "413", None, id="413 from a proxy"),
    pytest.param(401, status("Unauthorized"), Later, "401", 5, id="401 token rotated"),
    pytest.param(
        403,
        status('workflows.argoproj.io "x" is forbidden: exceeded quota: q, requested: count=1, limited: count=1'),
        Later,
        "quota",
        30,
        id="403 quota",
    ),
    pytest.param(
        403,
        status('workflows.argoproj.io "x" is forbidden: status unknown for quota: q, resources: count/workflows'),
        Later,
        "quota",
        30,
        id="403 quota not counted yet",
    ),
    pytest.param(
        403,
        status('User "x" cannot create resource "workflows" in API group "argoproj.io"'),
        Later,
        "403",
        60,
        id="RBAC",
    ),
    pytest.param(
        403, status('admission webhook "v.example.com" denied the request: no'), Refused, "denied", None, id="webhook"
    ),
    pytest.param(
        403,
        status("ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no"),
        Refused,
        "denied",
        None,
        id="policy",
    ),
    pytest.param(
        403,
        status("unable to create new content in namespace ml because it is being terminated"),
        Later,
        "403",
        60,
        id="403 namespace terminating",
    ),
    pytest.param(403, status("violates PodSecurity"), Refused, "403", None, id="403 of another kind"),
    pytest.param(404, status('namespaces "ml" not found', name="ml"), Later, "404", 60, id="404 namespace"),
    pytest.param(404, b"404 page not found\n", Later, "no-such-api", 60, id="404 Argo is not installed"),
    pytest.param(
        409, status('workflows "x" already exists', "AlreadyExists"), AlreadyExists, "409", None, id="409 there"
    ),
    pytest.param(409, status("the object has been modified", "Conflict"), Later, "409", 1, id="409 conflict"),
    pytest.param(429, status("too many requests"), Later, "429", 7, id="429 with Retry-After"),
    pytest.param(500, status("etcdserver: request timed out"), Ambiguous, "500", None, id="500"),
    pytest.param(503, b"<html>no backend</html>", Ambiguous, "503", None, id="503 from a proxy"),
    pytest.param(504, status("Timeout: request did not complete"), Ambiguous, "504", None, id="504"),
]


@pytest.mark.parametrize(("code", "body", "kind", "label", "retry_after"), CASES)
def test_answers_are_told_apart(
    code: int, body: bytes, kind: type[WorkflowError], label: str, retry_after: float | None
) -> None:
    error = classify(code, body, {"Retry-After": "7"})
    assert type(error) is kind
    assert error.code == label
    assert getattr(error, "retry_after", None) == retry_after


@pytest.mark.parametrize(
    ("body", "words"),
    [
        pytest.param(status("the server's own words"), "the server's own words", id="status"),
        pytest.param(b"<html>no backend</html>", "answered 400: <html>no backend</html>", id="a proxy's page"),
        pytest.param(b'{"kind":"Other"}', 'answered 400: {"kind":"Other"}', id="other JSON"),
        pytest.param(b"\xff", "answered 400", id="no text"),
        pytest.param(b"", "answered 400", id="nothing"),
    ],
)
def test_the_message_is_the_servers_own(body: bytes, words: str) -> None:
    assert words in str(classify(400, body, {}))


@pytest.mark.parametrize("header", ["", "soon", "Wed, 21 Oct 2026 07:28:00 GMT"])
def test_a_429_without_a_readable_retry_after_waits_a_moment(header: str) -> None:
    error = classify(429, b"", {"Retry-After": header})
    assert isinstance(error, Later)
    assert error.retry_after == 1
