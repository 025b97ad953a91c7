from typing import Any

import pytest

from retrainer.workflows.base import Template
from retrainer.workflows.manifest import MAX_PARAMETERS, check_parameters, manifest

from .samples import ULID, a_run


def built(**changes: Any) -> dict[str, Any]:
    return manifest(a_run(**changes), instance="prod", instance_id=None)


def test_a_workflow_of_a_template_is_minimal() -> None:
    submit = {"workflow_template": "churn-train", "timeout": 28800.0}
    assert built(submit=submit, parameters={"since": "2026-01-01"}, key="acme", scheduled_at=1_800_000_000.0) == {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {
            "name": f"churn-{ULID.lower()}",
            "namespace": "ml",
            "finalizers": ["retrainer.dev/outcome"],
            "labels": {
                "app.kubernetes.io/managed-by": "retrainer",
                "retrainer.dev/instance": "prod",
                "retrainer.dev/rule": "churn",
                "workflows.argoproj.io/workflow-template": "churn-train",
            },
            "annotations": {
                "retrainer.dev/run": ULID,
                "retrainer.dev/key": "acme",
                "retrainer.dev/reason": "schedule",
                "retrainer.dev/cause": '{"trigger":"nightly","reason":"schedule","slot":"2027-01-15T08:00:00Z"}',
                "workflows.argoproj.io/scheduled-time": "2027-01-15T08:00:00Z",
            },
        },
        "spec": {
            "workflowTemplateRef": {"name": "churn-train"},
            "arguments": {"parameters": [{"name": "since", "value": "2026-01-01"}]},
            "activeDeadlineSeconds": 28800,
        },
    }


def test_a_cluster_template_is_named_as_one() -> None:
    workflow = built(submit={"cluster_workflow_template": "train"})
    assert workflow["spec"] == {"workflowTemplateRef": {"name": "train", "clusterScope": True}}
    assert workflow["metadata"]["labels"]["workflows.argoproj.io/cluster-workflow-template"] == "train"


def test_the_controller_instance_is_asked_for() -> None:
    workflow = manifest(a_run(), instance="prod", instance_id="blue")
    assert workflow["metadata"]["labels"]["workflows.argoproj.io/controller-instanceid"] == "blue"


@pytest.mark.parametrize("wrapped", [pytest.param(True, id="manifest"), pytest.param(False, id="spec only")])
def test_an_inline_workflow_keeps_its_spec_and_takes_our_parameters(wrapped: bool) -> None:
    spec = {
        "entrypoint": "main",
        "arguments": {"parameters": [{"name": "epochs", "value": "1"}, {"name": "seed", "value": "7"}]},
        "templates": [{"name": "main", "suspend": {}}],
    }
    inline = {"kind": "Workflow", "spec": spec, "metadata": {"labels": {"tier": "gold"}}} if wrapped else spec
    workflow = built(submit={"workflow": inline}, parameters={"epochs": "5", "model": "churn"})
    assert workflow["spec"]["arguments"]["parameters"] == [
        {"name": "epochs", "value": "5"},
        {"name": "seed", "value": "7"},
        {"name": "model", "value": "churn"},
    ]
    assert workflow["spec"]["templates"] == spec["templates"]
    assert workflow["metadata"]["labels"].get("tier") == ("gold" if wrapped else None)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        pytest.param({"team": "growth"}, {"team": "growth"}, id="valid"),
        pytest.param({"team": "Growth & Retention!"}, {"team": "Growth-Retention"}, id="signs in a value"),
        pytest.param({"owner": "x" * 80}, {"owner": "x" * 63}, id="long value"),
        pytest.param({"my team": "a"}, {"my-team": "a"}, id="blank in a name"),
        pytest.param({"Acme.COM/cost centre": "7"}, {"acme.com/cost-centre": "7"}, id="prefix"),
        pytest.param({"!!": "a"}, {}, id="nothing left of the name"),
        pytest.param({"team": ""}, {"team": ""}, id="empty value"),
        pytest.param({"retrainer.dev/rule": "other"}, {}, id="ours"),
    ],
)
def test_labels_of_rules_become_labels_of_workflows(given: dict[str, str], expected: dict[str, str]) -> None:
    labels = built(labels=given)["metadata"]["labels"]
    bare = built()["metadata"]["labels"]
    assert labels == bare | expected


@pytest.mark.parametrize(
    "label", ["workflows.argoproj.io/phase", "retrainer.dev/instance", "app.kubernetes.io/managed-by"]
)
def test_reserved_labels_are_refused_by_name(label: str) -> None:
    with pytest.raises(ValueError, match=label):
        built(submit={"workflow_template": "t", "metadata": {"labels": {label: "x"}}})


def test_a_value_that_argo_would_expand_is_refused() -> None:
    with pytest.raises(ValueError, match=r"parameter path contains '\{\{'"):
        built(parameters={"path": "s3://{{workflow.name}}"})


def test_a_key_out_of_an_event_cannot_be_expanded_by_a_template_that_pastes_annotations() -> None:
    annotations = built(key="{{workflow.name}}", reason="{{{{x")["metadata"]["annotations"]
    assert "{{" not in "".join(annotations.values())


def test_values_are_bounded_together_and_the_error_tells_the_way_out() -> None:
    built(parameters={"a": "x" * MAX_PARAMETERS})
    with pytest.raises(ValueError, match=r"run\.manifest_uri"):
        built(parameters={"a": "x" * MAX_PARAMETERS, "b": "ü"})


TEMPLATE = Template("churn-train", {"since": None, "epochs": "3", "mode": "full"}, {"mode": ("full", "incremental")})


@pytest.mark.parametrize(
    ("parameters", "problems"),
    [
        pytest.param({"since": "x"}, [], id="the required one"),
        pytest.param({"since": "x", "epochs": "5", "mode": "incremental"}, [], id="all"),
        pytest.param({}, ["needs parameter since"], id="required missing"),
        pytest.param({"since": "x", "epoch": "5"}, ["no parameter epoch: did you mean epochs?"], id="misspelt"),
        pytest.param({"since": "x", "zzz": "5"}, ["no parameter zzz: it has since, epochs, mode"], id="unknown"),
        pytest.param({"since": "x", "mode": "half"}, ["is one of full, incremental, not 'half'"], id="no option"),
        pytest.param({"mode": "half"}, ["needs parameter since", "is one of full"], id="two at once"),
    ],
)
def test_parameters_are_checked_against_the_template(parameters: dict[str, str], problems: list[str]) -> None:
    found = check_parameters(TEMPLATE, parameters)
    assert len(found) == len(problems)
    for message, part in zip(found, problems, strict=True):
        assert part in message
