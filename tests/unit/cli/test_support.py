"""A support bundle: everything that can be had, and none of the secrets that were planted."""

from __future__ import annotations

import json
import tarfile
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from tests.houses.daemon import DaemonProcess
from tests.houses.daemon_in_process import furnish
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.unit.cli.conftest import Ask

TOKEN, HMAC, PASTED, COMMENT, PAYLOAD, INLINE, VARIABLE = (
    f"planted-{word}-7f3a" for word in ("token", "hmac", "pasted", "comment", "payload", "inline", "variable")
)
PLANTED = (TOKEN, HMAC, PASTED, COMMENT, PAYLOAD, INLINE, VARIABLE)
EVERYTHING = {
    *("MANIFEST.json", "version.json", "platform.json", "settings.json", "store.json"),
    *("readyz.json", "healthz.json", "status.json", "threads.json", "sources.json", "metrics.txt"),
    *("rules.json", "decisions.json", "dead-letters.json", "runs.json"),
}
SETTINGS = f"""
version: 1
rules: [rules]
engine: {{type: local, templates: templates, runs: runs}}
store: {{path: store.db}}
http: {{port: 0, token: {{from_env: SUPPORT_TEST_TOKEN}}}}  # {COMMENT}
"""
RULES = f"""
version: 1
sources:
  push: {{type: webhook, path: /hooks/push, id: data.id}}
  signed: {{type: webhook, path: /hooks/signed, hmac: [{{from_file: HMAC_FILE}}]}}
rules:
  - name: churn
    triggers: {{new: {{data: {{source: push, batch: {{at_least: {{events: 1}}}}}}}}}}
    submit:
      workflow_template: train
      parameters: {{n: "1", api_key: "{PASTED}", from: "https://u:{INLINE}@host/x", copy: "of {HMAC} and {VARIABLE}"}}
"""
TEMPLATE = """
apiVersion: argoproj.io/v1alpha1
kind: WorkflowTemplate
metadata: {name: train}
spec:
  entrypoint: main
  arguments: {parameters: [{name: n}, {name: api_key}, {name: from}, {name: copy}]}
  templates: [{name: main, container: {image: x, command: ["true"]}}]
"""


class Daemon(DaemonProcess):
    def __init__(self, folder: Path) -> None:
        (folder / "hmac").write_text(HMAC)
        furnish(folder, SETTINGS, RULES.replace("HMAC_FILE", str(folder / "hmac")), TEMPLATE)
        super().__init__(folder)


@pytest.fixture
def daemon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    monkeypatch.setenv("SUPPORT_TEST_TOKEN", TOKEN)
    monkeypatch.setenv("OTHER_API_KEY", VARIABLE)
    made = Daemon(tmp_path)
    yield made
    made.close()


def unpacked(target: Path) -> dict[str, str]:
    with tarfile.open(target) as bundle:
        found = {member.name: bundle.extractfile(member) for member in bundle}
        return {name.removeprefix("retrainer-support/"): file.read().decode() for name, file in found.items() if file}


def bundle(cli: Ask, daemon: Daemon, target: Path, *words: str) -> tuple[dict[str, str], dict[str, Any]]:
    told = cli("--url", daemon.url or "http://127.0.0.1:9", *words, "support", str(target), "-c", str(daemon.settings))
    files = unpacked(target)
    everything = told.output + "".join(f"{name}\n{content}" for name, content in files.items())
    assert [secret for secret in PLANTED if secret in everything] == []
    return files, json.loads(files["MANIFEST.json"])


def test_a_bundle_of_a_running_daemon(cli: Ask, daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    auth = {"Authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=daemon.url, trust_env=False, headers=auth) as http:
        assert http.post("/hooks/push", json={"id": PAYLOAD, "password": PAYLOAD}).is_success
        http.post("/hooks/push", json={"no": PAYLOAD})  # without its id, a dead letter
        until(lambda: http.get("/api/v1/runs").json()["items"], "a run")
        until(lambda: http.get("/api/v1/dead-letters").json()["items"], "a dead letter")

    files, manifest = bundle(cli, daemon, tmp_path / "b.tar.gz", "--token", TOKEN)
    assert manifest["missing"] == []
    assert {part["file"] for part in manifest["contains"]} == files.keys() - {"MANIFEST.json"}
    assert {name for name in files if not name.startswith("rules/")} == EVERYTHING
    read = {name: json.loads(content) for name, content in files.items() if name.endswith(".json")}
    assert read["settings.json"]["http"]["token"] == {"from_env": "SUPPORT_TEST_TOKEN"}
    assert read["rules/000-rules.json"]["rules"][0]["submit"]["parameters"]["n"] == "1"
    assert read["readyz.json"]["ready"] is True
    assert read["rules.json"][0]["name"] == "churn"
    assert read["decisions.json"][0]["reason"] == "batch_complete"
    assert read["dead-letters.json"][0]["source"] == "push"
    assert read["store.json"]["bytes"]["store.db"] > 0
    assert "engine" in {thread["name"] for thread in read["threads.json"]["items"]}
    assert "retrainer_runs_total" in files["metrics.txt"]
    assert (tmp_path / "b.tar.gz").stat().st_mode & 0o777 == 0o600
    refused = cli("--url", daemon.url, "support", str(tmp_path / "b.tar.gz"), code=1)
    assert "exists already" in refused.stderr


def test_without_the_daemon_and_with_broken_files(cli: Ask, daemon: Daemon, tmp_path: Path) -> None:
    (daemon.folder / "rules/broken.yaml").write_text(f"rules: [\n  {{password: {PASTED}")
    files, manifest = bundle(cli, daemon, tmp_path / "b.tar.gz")
    missing = {part["file"]: part["reason"] for part in manifest["missing"]}
    assert "no answer from" in missing["metrics.txt"]
    assert {"readyz.json", "status.json", "threads.json", "rules/000-broken.json"} <= missing.keys()
    assert {"version.json", "settings.json", "rules/001-rules.json", "store.json"} <= files.keys()


def test_with_a_wrong_token_the_public_parts_are_there(cli: Ask, daemon: Daemon, tmp_path: Path) -> None:
    daemon.start()
    files, manifest = bundle(cli, daemon, tmp_path / "b.tar.gz", "--token", "another-token")
    missing = {part["file"]: part["reason"] for part in manifest["missing"]}
    assert missing["status.json"] == "the daemon answers 401"
    assert {"readyz.json", "healthz.json"} <= files.keys()


def test_without_settings(cli: Ask, daemon: Daemon, tmp_path: Path) -> None:
    daemon.settings.unlink()
    files, manifest = bundle(cli, daemon, tmp_path / "b.tar.gz")
    assert "version.json" in files
    assert "settings.json" in {part["file"] for part in manifest["missing"]}
