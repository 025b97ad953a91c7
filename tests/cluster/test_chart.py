"""The chart, installed with the image of this repository in a namespace that enforces Pod Security "restricted"."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest

from tests.houses.browser import Visit, browser, visits

from .conftest import kubectl, until
from .release import PIPELINES, Release, config_map

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Locator, Page

__all__ = ["browser"]
PLATFORM = "version: 1\nsources:\n  push: {type: webhook, path: /hooks/push}\n"


def on_event(name: str, more: str = "") -> str:
    """A rule that runs `train` when the platform's webhook receives the rule's name."""
    return (
        f"  - name: {name}\n"
        f"    triggers: {{told: {{data: {{source: push, match: {{tell: {name}}}}}}}}}\n"
        f"    submit: {{workflow_template: train{more}}}\n"
    )


def rules(*texts: str) -> str:
    return "version: 1\nrules:\n" + "".join(texts)


STUCK = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: needs-a-gpu}
spec:
  entrypoint: main
  templates:
    - name: main
      nodeSelector: {accelerator: none-has-it}
      container: {image: "localhost/python:3.11", command: [python3]}
"""
MINUTELY = """
  - name: minutely
    triggers: {minutely: {schedule: {cron: "* * * * *"}}}
    submit: {workflow_template: train}
"""


@pytest.fixture(scope="module")
def release(platform: str, team: str) -> Iterator[Release]:
    config_map(team, "first", rules(MINUTELY))
    installed = Release(platform, watchedNamespaces={team: {"rules": True}}, rules={"platform": PLATFORM})
    installed.install()
    yield installed
    installed.uninstall()


def test_it_runs_without_rights_on_its_own_node(release: Release) -> None:
    asked = "import os, pathlib; print(os.getuid()); pathlib.Path('/opt/retrainer/x').write_text('x')"
    with pytest.raises(RuntimeError, match="Read-only file system"):
        kubectl("-n", release.namespace, "exec", "deployment/retrainer", "--", "python3", "-c", asked)
    status = kubectl("-n", release.namespace, "exec", "deployment/retrainer", "--", "cat", "/proc/1/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert facts["Uid"].split() == ["65532"] * 4
    assert (facts["CapEff"], facts["NoNewPrivs"], facts["Seccomp"]) == ("0000000000000000", "1", "2")


def test_a_rule_of_a_team_fires_on_its_slot_and_the_pods_succeed(release: Release, team: str) -> None:
    run = release.succeeded("minutely")
    assert run["namespace"] == team
    assert run["scheduled_at"].endswith(":00.000Z")


def test_a_changed_config_map_is_taken_without_a_restart(release: Release, team: str) -> None:
    config_map(team, "second", rules(on_event("added")))
    until(lambda: "added" in release.rules())
    release.push(tell="added")
    assert release.succeeded("added")["namespace"] == team
    config_map(team, "second", rules(on_event("renamed")))
    until(lambda: "renamed" in release.rules() and "added" not in release.rules())
    assert release.pod["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.fixture
def visit(browser: Browser, release: Release) -> Iterator[Visit]:
    yield from visits(browser, release.url)


def press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def reach(page: Page, wanted: Locator) -> None:
    """Move the focus to an element by Tab alone, and press Enter."""
    wanted.wait_for()
    for _ in range(80):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            page.keyboard.press("Enter")
            return
    raise AssertionError(f"Tab does not reach {wanted}")


def test_the_page_answers_the_questions_of_the_night_by_keyboard(release: Release, team: str, visit: Visit) -> None:
    kubectl("-n", team, "apply", "-f", "-", given=STUCK)
    config_map(team, "night", rules(on_event("night").replace("train", "needs-a-gpu")))
    until(lambda: "night" in release.rules())
    for number in range(2):
        release.push(f"day-{number}", tell="night")
    visitor = visit(release.token)
    page = visitor.page
    # Is it this rule, or all?
    press(page, "g", "r")
    visitor.shows("minutely")
    press(page, "/")
    page.keyboard.type("night")
    page.get_by_title("night is held: overlap").wait_for()
    # Why does it not retrain?
    reach(page, page.get_by_role("link", name="night", exact=True))
    visitor.shows("night is held: overlap (1 active, overlap: buffer_one)")
    # Where is its run stuck? In the words of the cluster.
    reach(page, page.get_by_role("link", name=re.compile(r"^run \w{6}$")).first)
    visitor.shows("is Pending: Unschedulable: 0/1 nodes are available")
    # What may I press?
    reach(page, page.get_by_role("button", name="Cancel …"))
    visitor.shows("Its inputs are returned, so they count for the next run.")
    reach(page, page.get_by_role("dialog").get_by_role("button", name="Cancel the run"))
    page.get_by_role("dialog").get_by_text("The run is").wait_for()
    press(page, "Escape")
    visitor.shows("CANCELLED")
    # Did my file count?
    press(page, "g", "e")
    page.get_by_role("searchbox").wait_for()
    press(page, "/")
    page.keyboard.type("day-1")
    press(page, "Enter")
    row = page.get_by_role("row", name="night").first
    row.wait_for()
    assert "matched" in row.inner_text()


def test_a_broken_config_map_changes_nothing_and_shows(release: Release, team: str) -> None:
    config_map(team, "third", rules(on_event("kept")))
    until(lambda: "kept" in release.rules())
    before = release.rules()
    config_map(team, "third", "version: 1\nrules: [{name: kept, nonsense: true}]\n")
    until(lambda: release.metric("retrainer_config_file_problems") > 0)
    assert release.rules() == before
    release.push(tell="kept")
    until(lambda: release.runs("kept"))
    kubectl("-n", team, "delete", "configmap", "third")
    until(lambda: release.metric("retrainer_config_file_problems") == 0 and "kept" not in release.rules())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(
            "version: 1\nsources: {own: {type: webhook, path: /hooks/own}}\nrules: []\n",
            "a ConfigMap of a team must not define sources",
            id="sources",
        ),
        pytest.param(
            rules(on_event("stray", ", namespace: elsewhere")), "runs there, not in `elsewhere`", id="elsewhere"
        ),
    ],
)
def test_a_team_may_do_less_than_the_platform(release: Release, team: str, text: str, words: str) -> None:
    config_map(team, "greedy", text)
    until(lambda: words in release.log)
    assert "stray" not in release.rules()
    kubectl("-n", team, "delete", "configmap", "greedy")
    until(lambda: release.metric("retrainer_config_file_problems") == 0)


def test_rules_of_the_platform_reach_the_running_pod(release: Release, team: str) -> None:
    before = release.pod["metadata"]["name"]
    there = f", namespace: {team}"
    release.upgrade(rules={"platform": PLATFORM, "more": rules(on_event("platforms", there))})
    # The kubelet refreshes volumes every minute, and whenever the pod changes.
    kubectl("-n", release.namespace, "annotate", "pod", before, "look=now")
    until(lambda: "platforms" in release.rules())
    assert release.pod["metadata"]["name"] == before
    assert release.pod["status"]["containerStatuses"][0]["restartCount"] == 0


@pytest.mark.parametrize(
    ("resource", "verbs", "words"),
    [
        pytest.param(
            "workflows", ["create", "get", "list", "watch"], "may not patch workflows.argoproj.io", id="patch"
        ),
        pytest.param("configmaps", ["watch"], 'cannot list resource \\"configmaps\\"', id="configmaps"),
    ],
)
def test_start_up_names_the_verb_that_is_missing(namespace: str, resource: str, verbs: list[str], words: str) -> None:
    rights = {
        "workflows": ("argoproj.io", ["create", "get", "list", "watch", "patch"]),
        "workflowtemplates": ("argoproj.io", ["get"]),
        "configmaps": ("", ["list", "watch"]),
    }
    rights[resource] = (rights[resource][0], verbs)
    release = Release(
        namespace,
        watchedNamespaces={namespace: {"rules": True}},
        rbac={"create": False},
        serviceAccount={"create": False, "name": "retrainer"},
    )
    for document in account(namespace, rights):
        kubectl("-n", namespace, "apply", "-f", "-", given=json.dumps(document))
    release.install()
    until(lambda: words in release.log)
    (line,) = [line for line in release.log.splitlines() if words in line and '"level": "error"' in line]
    assert namespace in line
    release.uninstall()


def account(namespace: str, rights: dict[str, tuple[str, list[str]]]) -> list[dict[str, object]]:
    """The objects that an administrator creates where the chart may not."""
    granted = [{"apiGroups": [group], "resources": [name], "verbs": verbs} for name, (group, verbs) in rights.items()]
    api = "rbac.authorization.k8s.io/v1"
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "retrainer"}
    subject = {"kind": "ServiceAccount", "name": "retrainer", "namespace": namespace}
    named = {"name": "retrainer"}
    return [
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": named},
        {"apiVersion": api, "kind": "Role", "metadata": named, "rules": granted},
        {"apiVersion": api, "kind": "RoleBinding", "metadata": named, "roleRef": role, "subjects": [subject]},
    ]


def test_uninstalling_leaves_nothing_behind(namespace: str) -> None:
    kubectl("-n", namespace, "apply", "-f", str(PIPELINES / "train.yaml"))
    release = Release(namespace, rules={"platform": PLATFORM + rules(on_event("left")).removeprefix("version: 1\n")})
    release.install()
    release.push(tell="left")
    until(lambda: release.runs("left") and release.runs("left")[0]["uid"])
    release.uninstall()
    workflows = json.loads(kubectl("-n", namespace, "get", "workflows", "-o", "json"))["items"]
    assert [item["metadata"].get("finalizers") for item in workflows] == [None]
    kinds = "all,configmaps,secrets,serviceaccounts,roles,rolebindings,persistentvolumeclaims,poddisruptionbudgets"
    left = kubectl("-n", namespace, "get", kinds, "-l", "app.kubernetes.io/name=retrainer", "-o", "name")
    assert left == ""
