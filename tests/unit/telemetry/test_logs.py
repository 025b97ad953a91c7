from __future__ import annotations

import io
import json
import logging
import sys
import warnings
from typing import Any

import pytest
import structlog

from retrainer.config.models import FromEnv
from retrainer.telemetry import logs
from retrainer.telemetry.secrets import Secrets, reveal


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


pytestmark = pytest.mark.usefixtures("logging_as_before")


@pytest.fixture
def out() -> io.StringIO:
    stream = io.StringIO()
    logs.configure("info", json=True, stream=stream)
    return stream


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_line_is_json_with_its_action_and_ids(out: io.StringIO) -> None:
    structlog.get_logger().info("run.submitted", rule="churn", key="", run="01H", workflow="churn-01h")
    (line,) = lines(out)
    assert list(line)[:3] == ["timestamp", "level", "event"]
    assert line.pop("timestamp").endswith("Z")
    ids = {"rule": "churn", "key": "", "run": "01H", "workflow": "churn-01h"}
    assert line == {"level": "info", "event": "run.submitted", **ids}


@pytest.mark.parametrize(
    ("stream", "asked", "as_json", "coloured"),
    [
        pytest.param(Terminal(), None, False, True, id="a terminal"),
        pytest.param(io.StringIO(), None, True, False, id="a pipe"),
        pytest.param(Terminal(), True, True, False, id="JSON asked for on a terminal"),
        pytest.param(io.StringIO(), False, False, False, id="readable asked for in a pipe"),
    ],
)
def test_readable_on_a_terminal_and_json_elsewhere(
    stream: io.StringIO, asked: bool | None, as_json: bool, coloured: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    logs.configure("info", json=asked, stream=stream)
    structlog.get_logger().info("daemon.ready", rules=3)
    text = stream.getvalue()
    assert text.startswith("{") is as_json
    assert ("\x1b[" in text) is coloured
    assert "daemon.ready" in text


def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    stream = Terminal()
    logs.configure("info", stream=stream)
    structlog.get_logger().info("daemon.ready")
    assert "\x1b[" not in stream.getvalue()


def test_stderr_is_looked_up_at_each_line(monkeypatch: pytest.MonkeyPatch) -> None:
    logs.configure("info", json=True)
    display = io.StringIO()
    monkeypatch.setattr(sys, "stderr", display)
    structlog.get_logger().info("daemon.ready")
    assert lines(display)[0]["event"] == "daemon.ready"


@pytest.mark.parametrize(
    ("name", "level", "shown"),
    [
        pytest.param("uvicorn.error", logging.ERROR, True, id="a library's error"),
        pytest.param("urllib3.connectionpool", logging.WARNING, True, id="a library's warning"),
        pytest.param("alembic.runtime.migration", logging.INFO, False, id="a library's chatter"),
        pytest.param("uvicorn.access", logging.INFO, False, id="a line for each request"),
        pytest.param("somebody.else", logging.INFO, True, id="a stranger"),
    ],
)
def test_libraries_go_the_same_way(out: io.StringIO, name: str, level: int, shown: bool) -> None:
    logger = logging.getLogger(name)
    if name == "uvicorn.error":
        logger.setLevel(logging.NOTSET)  # undo a change by another test's web server
    logger.log(level, "%s said %d", name, 5)
    told = [(line["event"], line["logger"]) for line in lines(out)]
    assert told == ([(f"{name} said 5", name)] if shown else [])


def test_a_library_with_handlers_of_its_own_loses_them() -> None:
    own = io.StringIO()
    library = logging.getLogger("uvicorn")
    library.addHandler(logging.StreamHandler(own))
    stream = io.StringIO()
    logs.configure("info", json=True, stream=stream)
    library.warning("hello")
    assert (own.getvalue(), len(lines(stream))) == ("", 1)


def test_debug_never_lets_the_kubernetes_client_print_answers() -> None:
    stream = io.StringIO()
    logs.configure("debug", json=True, stream=stream)
    logging.getLogger("kubernetes.client.rest").debug("response body: everything")
    structlog.get_logger().debug("rule.hold")
    assert [line["event"] for line in lines(stream)] == ["rule.hold"]


@pytest.mark.parametrize(
    "library", ["kubernetes.client.rest", "httpcore.http11", "botocore.auth", "sqlalchemy.engine.Engine", "kafka.conn"]
)
def test_debug_is_for_our_own_lines(library: str) -> None:
    stream = io.StringIO()
    logs.configure("debug", json=True, stream=stream)
    logging.getLogger(library).debug("Authorization: everything")
    logging.getLogger("sqlalchemy.engine.Engine").info("INSERT everything")
    assert lines(stream) == []


def test_the_level_changes_for_loggers_that_are_in_use(out: io.StringIO) -> None:
    log = structlog.get_logger()
    log.debug("before")
    logs.change_level("debug")
    log.debug("during")
    assert logs.current_levels() == ("debug", "info")
    logs.change_level("error")
    log.warning("less")
    logs.change_level(None)
    log.debug("after")
    log.info("as configured")
    assert [line["event"] for line in lines(out)] == ["during", "as configured"]
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        logs.change_level("loud")
    assert logs.current_levels() == ("info", "info")


def test_warnings_become_lines(out: io.StringIO) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logs.configure("info", json=True, stream=out)
        warnings.warn("old habit", DeprecationWarning, stacklevel=1)
    assert "old habit" in lines(out)[0]["event"]


def test_configured_twice_each_line_comes_once() -> None:
    first, second = io.StringIO(), io.StringIO()
    logs.configure("info", json=True, stream=first)
    logs.configure("warning", json=True, stream=second)
    structlog.get_logger().info("not.shown")
    structlog.get_logger().warning("shown")
    assert (first.getvalue(), [line["event"] for line in lines(second)]) == ("", ["shown"])


def test_an_unknown_level_says_which_there_are() -> None:
    with pytest.raises(ValueError, match="debug, info, warning, error"):
        logs.configure("loud")


def test_an_exception_brings_its_traceback_but_no_variables(out: io.StringIO) -> None:
    def fail() -> None:
        local = "value-of-a-local-variable"
        raise RuntimeError(f"broken {len(local)}")

    try:
        fail()
    except RuntimeError:
        structlog.get_logger().exception("engine.failed")
    (line,) = lines(out)
    assert "RuntimeError: broken 25" in line["exception"]
    assert "in fail" in line["exception"]


@pytest.mark.parametrize(
    "value",
    [
        pytest.param("caf\udce9.csv", id="a file name that is no UTF-8"),
        pytest.param(float("nan"), id="not a number"),
        pytest.param(b"\xff\x00", id="bytes"),
        pytest.param({"a": {1, 2}}, id="a set"),
        pytest.param(object(), id="an object"),
    ],
)
def test_no_value_can_break_a_line(out: io.StringIO, value: Any) -> None:
    structlog.get_logger().info("event.seen", value=value)
    text = out.getvalue()
    assert json.loads(text, parse_constant=pytest.fail)["event"] == "event.seen"


CANARY = 's3cr"et/канарейка+'


class Leaky:
    def __repr__(self) -> str:
        return f"Leaky({CANARY})"


@pytest.mark.parametrize("as_json", [pytest.param(True, id="json"), pytest.param(False, id="terminal")])
@pytest.mark.parametrize(
    "say",
    [
        pytest.param(lambda log: log.info(CANARY), id="in the message"),
        pytest.param(lambda log: log.info("x", error=f"refused: {CANARY}!"), id="in a value"),
        pytest.param(lambda log: log.info("x", deep={"a": [{"b": CANARY}]}), id="deep inside"),
        pytest.param(lambda log: log.info("x", deep={CANARY: 1}), id="as a key"),
        pytest.param(lambda log: log.info("x", thing=Leaky()), id="in an object's repr"),
        pytest.param(lambda log: log.info("x", error=ValueError(CANARY)), id="in an exception"),
        pytest.param(lambda log: log.info("x", text=json.dumps({"a": CANARY})), id="as JSON text"),
        pytest.param(
            lambda log: log.info(
                "x", url="http://h/?t=s3cr%22et%2F%D0%BA%D0%B0%D0%BD%D0%B0%D1%80%D0%B5%D0%B9%D0%BA%D0%B0%2B"
            ),
            id="in a URL",
        ),
        pytest.param(lambda log: logging.getLogger("lib").warning("sent %s", CANARY), id="by a library"),
    ],
)
def test_a_registered_secret_is_never_seen(say: Any, as_json: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    secrets = Secrets()
    secrets.hide(CANARY)
    monkeypatch.setattr(logs, "SECRETS", secrets)
    stream = io.StringIO()
    logs.configure("info", json=as_json, stream=stream)
    say(structlog.get_logger())
    try:
        int(CANARY)
    except ValueError:
        structlog.get_logger().exception("x")
    text = stream.getvalue()
    assert "***" in text
    assert not [piece for piece in ("s3cr", "канарейка", "\\u043a\\u0430\\u043d", "%D0%BA%D0%B0") if piece in text]


@pytest.mark.parametrize(
    ("fields", "gone"),
    [
        pytest.param({"headers": {"Authorization": "Bearer abcdefgh"}}, "abcdefgh", id="a header"),
        pytest.param({"error": "sent Authorization: Bearer abcdefgh12"}, "abcdefgh12", id="a header in text"),
        pytest.param({"error": "{'authorization': 'Basic dXNlcjpwYXNz'}"}, "dXNlcjpwYXNz", id="a header in a repr"),
        pytest.param({"url": "postgresql://me:hunter2@db/x"}, "hunter2", id="a password in a URL"),
        pytest.param({"api_key": "k-123"}, "k-123", id="a telling name"),
        pytest.param({"Set-Cookie": "sid=9"}, "sid=9", id="a cookie"),
    ],
)
def test_what_looks_like_a_secret_is_masked(out: io.StringIO, fields: dict[str, Any], gone: str) -> None:
    structlog.get_logger().info("x", **fields)
    assert gone not in out.getvalue()
    assert "***" in out.getvalue()


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("authorization failed for user x", id="a word alone"),
        pytest.param("see http://127.0.0.1:8080/api", id="a URL with a port"),
        pytest.param("2026-11-24T06:00:00Z churn/day=1/a.parquet", id="a key"),
    ],
)
def test_plain_text_stays_as_it_is(out: io.StringIO, text: str) -> None:
    structlog.get_logger().info("x", detail=text)
    assert lines(out)[0]["detail"] == text


def test_a_secret_is_hidden_as_soon_as_it_is_read(out: io.StringIO, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOOK_KEY", "correct horse battery")
    value = reveal(FromEnv(from_env="HOOK_KEY"))
    structlog.get_logger().info("x", detail=f"signed with {value}")
    assert lines(out)[0]["detail"] == "signed with ***"


def test_a_secret_too_short_to_mask_leaves_lines_readable() -> None:
    secrets = Secrets()
    secrets.hide("a")
    assert secrets.mask("a banana") == "a banana"
