"""Links from runs and rules to other pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydantic import TypeAdapter, ValidationError

from retrainer.api.links import links_of_run
from retrainer.config.models.links import LinkTemplate
from retrainer.runs.run import Run, RunPhase
from tests.unit.api.ledger import RUN

if TYPE_CHECKING:
    import httpx

    from tests.unit.api.daemon import Daemon

LINKS = {
    "Logs": "https://grafana.example.com/explore?w={workflow}&from={from_ms}&to={to_ms}",
    "Dashboard": "https://grafana.example.com/d/rules?rule={rule}&key={key}#{namespace}",
    "Audit": "https://audit.example.com/{uid}",
}


def run(key: str, uid: str | None = None, ended_at: float | None = None) -> Run:
    return Run("R1", "churn", key, RunPhase.RUNNING, "churn-r1", "ml", {}, {}, {}, "t", "r", 1000.0, uid=uid, ended_at=ended_at)  # fmt: skip  # noqa: E501


def test_a_key_that_a_sender_chose_stays_within_its_place() -> None:
    evil = 'x"&a=b#/../javascript:{run}%'
    (link,) = links_of_run({"Dashboard": LINKS["Dashboard"]}, run(evil), 0.0)
    assert (
        link["url"]
        == "https://grafana.example.com/d/rules?rule=churn&key=x%22%26a%3Db%23%2F..%2Fjavascript%3A%7Brun%7D%25#ml"
    )


def test_the_times_of_a_run_end_a_minute_after_it_or_after_now() -> None:
    ended, going = (links_of_run({"Logs": LINKS["Logs"]}, run("", None, end), 1190.0) for end in (1100.0, None))
    assert ended[0]["url"].endswith("w=churn-r1&from=1000000&to=1200000")
    assert going[0]["url"].endswith("w=churn-r1&from=1000000&to=1260000")


def test_a_link_that_needs_the_uid_is_there_once_the_workflow_exists() -> None:
    assert links_of_run({"Audit": LINKS["Audit"]}, run(""), 0.0) == []
    assert links_of_run({"Audit": LINKS["Audit"]}, run("", "u 1"), 0.0)[0]["url"] == "https://audit.example.com/u%201"


def test_runs_and_rules_have_their_links(client: httpx.Client, daemon: Daemon) -> None:
    daemon.settings = daemon.settings.model_copy(update={"links": LINKS})
    found = client.get(f"/api/v1/runs/{RUN.format(1)}").json()["links"]
    assert [link["name"] for link in found] == ["Logs", "Dashboard", "Audit"]
    (link,) = client.get("/api/v1/rules/churn", params={"key": "de"}).json()["links"]
    assert link["url"] == "https://grafana.example.com/d/rules?rule=churn&key=de#default"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        pytest.param("javascript:alert(1)", "a fixed host", id="scheme"),
        pytest.param("//example.com/{run}", "a fixed host", id="no scheme"),
        pytest.param("https://{namespace}.example.com/", "a fixed host", id="host of a sender"),
        pytest.param("https://user@example.com/", "without a user", id="user"),
        pytest.param("https://example.com/a b", "a fixed host", id="space"),
        pytest.param("https://example.com/{name}", "unknown placeholder {name}: write one of", id="unknown"),
        pytest.param("https://example.com/{rule.__class__}", "unknown placeholder", id="attribute"),
        pytest.param("https://example.com/{rule!r}", "unknown placeholder", id="conversion"),
        pytest.param("https://example.com/{}", "unknown placeholder {}", id="empty"),
        pytest.param("https://example.com/{rule", "write %7B", id="brace"),
        pytest.param("https://example.com/{{rule}}", "write %7B", id="two braces"),
    ],
)  # fmt: skip
def test_a_template_that_cannot_work_is_refused(template: str, message: str) -> None:
    with pytest.raises(ValidationError) as error:
        TypeAdapter[str](LinkTemplate).validate_python(template)
    assert message in str(error.value)
