"""What the chart renders for values of every kind, as a real API server admits and stores it."""

from __future__ import annotations

import json
import subprocess
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from .conftest import CLUSTER, KUBECONFIG, kubectl, until
from .release import CHART, Release, config_map, helm

if TYPE_CHECKING:
    from collections.abc import Iterator

CHECK = CHART.parent / "check"
RULES = """
version: 1
sources: {push: {type: webhook, path: /hooks/push}}
rules:
  - name: first
    triggers: {told: {data: {source: push, match: {tell: first}}}}
    submit: {workflow_template: train}
"""
RESOURCES = {"requests": {"cpu": "10m", "memory": "16Mi"}, "limits": {"memory": "64Mi", "ephemeral-storage": "64Mi"}}
BESIDE = {
    "image": "localhost/retrainer:test",
    "imagePullPolicy": "Never",
    "resources": RESOURCES,
    "volumeMounts": [{"name": "shared", "mountPath": "/shared"}],
}


@pytest.fixture(scope="module", autouse=True)
def kinds() -> Iterator[None]:
    """The kinds of the Prometheus operator and of the Gateway API, whose controllers the cluster does not have."""
    found = subprocess.run([str(CHECK), "crds"], capture_output=True, text=True, check=True, timeout=300)
    files = [f"--filename={path}" for path in found.stdout.split()]
    kubectl("apply", "--server-side", *files)
    kubectl("wait", "--for=condition=Established", *files, "--timeout=30s")
    yield
    kubectl("delete", "--wait=false", *files)


@pytest.fixture(scope="module")
def strict() -> Iterator[str]:
    """A namespace whose API server warns of each pod that is not restricted."""
    name = f"values-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    kubectl("label", "namespace", name, "pod-security.kubernetes.io/warn=restricted")
    yield name
    kubectl("delete", "namespace", name, "--wait=false")


def admitted(namespace: str, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the objects as the API server would store them. It refuses unknown fields, and must not warn."""
    text = helm("template", "retrainer", str(CHART), f"--namespace={namespace}", "--values=-", given=json.dumps(values))
    command = [str(CLUSTER / "bin" / "kubectl"), f"--kubeconfig={KUBECONFIG}"]
    command += ["apply", "--dry-run=server", "--validate=strict", "--output=json", "--filename=-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
    return list(json.loads(done.stdout)["items"])


FILES = sorted(path.name for path in (CHART / "ci").glob("*-values.yaml"))


@pytest.mark.parametrize("name", FILES)
def test_every_option_is_admitted_without_a_warning(strict: str, name: str) -> None:
    values = yaml.safe_load((CHART / "ci" / name).read_text()) or {}
    # Roles of namespaces that exist; addresses that the cluster has.
    values["watchedNamespaces"], values["defaultNamespace"] = {strict: {"rules": True}}, strict
    if "podMonitor" in values:
        values["podMonitor"]["namespace"] = strict
    values.get("service", {}).pop("ipFamilies", None)
    assert admitted(strict, values)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"egress": {"former": None}}, id="egress"),
        pytest.param({"egress": {"former": None, "kafka": {"ports": [{"port": 9092}]}}}, id="egress, one of two"),
        pytest.param({"apiServerPorts": {"https": None, "secure": None}}, id="all ports of the API server"),
        pytest.param({"ingressFrom": {"former": None, "all": {"podSelector": {}}}}, id="a peer"),
    ],
)
def test_what_is_null_opens_nothing(strict: str, values: dict[str, Any]) -> None:
    objects = admitted(strict, {"networkPolicy": {"enabled": True} | values})
    policies = [one["spec"] for one in objects if one["kind"] == "NetworkPolicy"]
    assert len(policies) == 2
    assert [rule for policy in policies for rule in policy["egress"] if not rule.get("ports")] == []
    assert all(rule["ports"] for policy in policies for rule in policy.get("ingress", []))


@pytest.mark.parametrize(
    "values",
    [
        pytest.param({"fullnameOverride": "a" + "-b" * 24 + "c"}, id="the longest full name"),
        pytest.param({"rulesConfigMaps": {"a.b.c": True, "a-b-c": True, "n" * 253: True}}, id="names of ConfigMaps"),
        pytest.param({"nameOverride": "n" * 50, "imagePullSecrets": {"a.b": True}}, id="the longest name"),
        pytest.param({"commonLabels": {"a.example.com/b": "", "c": "D_e.f"}, "podLabels": {"c": "2"}}, id="labels"),
    ],
)
def test_names_that_the_chart_accepts_are_admitted(strict: str, values: dict[str, Any]) -> None:
    assert admitted(strict, values)


@pytest.fixture
def gone() -> Iterator[str]:
    """A watched namespace that a test deletes."""
    name = f"gone-{uuid.uuid4().hex[:8]}"
    kubectl("create", "namespace", name)
    yield name
    kubectl("delete", "namespace", name, "--ignore-not-found", "--wait=false")


def test_with_everything_on_it_runs_and_goes_when_a_watched_namespace_is_gone(platform: str, gone: str) -> None:
    """The pod is restricted: the namespace admits no other."""
    config_map(platform, "platform.rules", RULES)
    release = Release(
        platform,
        watchedNamespaces={platform: {}, gone: {"rules": True}},
        rulesConfigMaps={"platform.rules": True},
        resources={"requests": {"cpu": "50m", "memory": "128Mi"}},
        networkPolicy={"enabled": True, "egress": {"former": None}},
        podDisruptionBudget={"enabled": True},
        serviceMonitor={"enabled": True, "relabelings": [{"targetLabel": "cluster", "replacement": "blue"}]},
        ingress={"enabled": True, "hosts": {"retrainer.example.com": True}},
        httpRoute={
            "enabled": True,
            "parentRefs": {"public": {"name": "gateway"}},
            "hostnames": {"retrainer.example.com": True},
        },
        extraVolumes={"shared": {"volume": {"emptyDir": {"sizeLimit": "1Mi"}}, "mount": False}},
        extraInitContainers=[BESIDE | {"name": "before", "command": ["sh", "-c", "echo ready > /shared/before"]}],
        extraContainers={
            "beside": BESIDE | {"command": ["sh", "-c", "cat /shared/before; trap exit TERM; sleep 600 & wait"]}
        },
    )
    release.install()
    assert kubectl("-n", platform, "logs", release.pod["metadata"]["name"], "-c", "beside") == "ready\n"
    until(lambda: "first" in release.rules())
    release.push(tell="first")
    until(lambda: release.runs("first") and release.runs("first")[0]["uid"])

    kubectl("delete", "namespace", gone, "--timeout=50s")
    release.uninstall()
    workflows = json.loads(kubectl("-n", platform, "get", "workflows", "-o", "json"))["items"]
    assert [item["metadata"].get("finalizers") for item in workflows] == [None]
    every = ["all,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets,networkpolicies,ingresses"]
    every += ["servicemonitors,httproutes"]
    label = "app.kubernetes.io/instance=retrainer"
    assert kubectl("-n", platform, "get", ",".join(every), "-l", label, "-o", "name") == ""
