"""PURE: the fields of containers, scripts and their files: which the local engine takes, leaves aside, or refuses."""

from __future__ import annotations

from retrainer.workflows.local.shapes import ANY, FLAG, IGNORED, NAME, NOTED, NUMBER, TEXT, Fields, Refusal

STORAGES = ("s3", "gcs", "git", "http", "oss", "hdfs", "azure", "artifactory", "plugin")
_NO_STORAGE = Refusal(
    "the local engine reads from no storage: pass the artifact of another task with `from`, or a text with `raw`"
)
_GIVEN = {
    "from": TEXT,
    "raw": Fields({"data": TEXT}),
    "subPath": TEXT,
    "optional": FLAG,
    **dict.fromkeys(STORAGES, _NO_STORAGE),
}
_KEPT = {"archive": Fields(optional={"none": ANY, "tar": ANY, "zip": ANY}), "optional": FLAG, "deleted": IGNORED}
_PLACED = {"path": TEXT, "mode": NUMBER, "recurseMode": FLAG}
ARTIFACT = Fields({"name": NAME}, {**_GIVEN, **_PLACED, **_KEPT})
OUTPUT_ARTIFACT = Fields(
    {"name": NAME},
    {
        **_PLACED,
        **_KEPT,
        "from": TEXT,
        "fromExpression": TEXT,
        "subPath": TEXT,
        "globalName": NAME,
        "artifactGC": NOTED,
        **dict.fromkeys(STORAGES, NOTED),
    },
)
_NO_OBJECTS = "this machine has no {what}: {instead}"
VOLUME = Fields(
    {"name": NAME},
    {
        "emptyDir": IGNORED,
        "configMap": Refusal(
            _NO_OBJECTS.format(
                what="ConfigMaps", instead="keep the files beside the project, or pass them as an artifact with `raw`"
            )
        ),
        "secret": Refusal(
            _NO_OBJECTS.format(what="Secrets", instead="let the step read a file of this machine where it is tried")
        ),
        "persistentVolumeClaim": Refusal(
            _NO_OBJECTS.format(what="claims", instead="take `volumeClaimTemplates`, a folder of the run, or `emptyDir`")
        ),
        "hostPath": Refusal("a step sees the files of this machine where they are: take the volume and its mounts out"),
    },
)
CLAIM = Fields(
    {"metadata": Fields({"name": NAME}, {"labels": IGNORED, "annotations": IGNORED})},
    dict.fromkeys(("apiVersion", "kind", "spec", "status"), IGNORED),
)
_MOUNT = Fields({"name": NAME, "mountPath": TEXT}, {"subPath": TEXT, "readOnly": NOTED, "mountPropagation": NOTED})
_NO_CONFIG_MAP = Refusal("this machine has no ConfigMaps: write `value`")
_NO_SECRET = Refusal("this machine has no Secrets: write a `value` to try it with, or let the step read a file")
NO_CONFIG_MAP = Fields(optional={"configMapKeyRef": _NO_CONFIG_MAP, "default": TEXT})
_VARIABLE = Fields(
    {"name": TEXT},
    {"value": TEXT, "valueFrom": Fields(optional={"configMapKeyRef": _NO_CONFIG_MAP, "secretKeyRef": _NO_SECRET})},
)
_POD_ONLY = (
    *("resources", "imagePullPolicy", "securityContext", "ports", "livenessProbe", "readinessProbe", "startupProbe"),
    *("terminationMessagePath", "terminationMessagePolicy", "tty", "stdin", "stdinOnce", "restartPolicy"),
)
PROCESS = {
    "name": IGNORED,
    "image": IGNORED,
    "env": [_VARIABLE],
    "workingDir": TEXT,
    "volumeMounts": [_MOUNT],
    **dict.fromkeys(_POD_ONLY, NOTED),
}
_PLACEMENT = (
    *("nodeSelector", "tolerations", "affinity", "securityContext", "priorityClassName", "priority", "schedulerName"),
    *("automountServiceAccountToken", "executor", "hostAliases", "podSpecPatch", "metrics", "synchronization"),
)
_ONE_PROCESS = "the local engine starts one process for a step: "
_NO_POD = {
    "sidecars": Refusal(f"{_ONE_PROCESS}let its command start the other in the background"),
    "initContainers": Refusal(f"{_ONE_PROCESS}make it a step of its own before this one"),
    "containerSet": Refusal(f"{_ONE_PROCESS}make each container a task of a dag"),
    "daemon": Refusal(f"{_ONE_PROCESS}let the step that needs the daemon start it in the background"),
    "resource": Refusal(
        "there is no Kubernetes API on this machine: a step can call `kubectl` where it reaches a cluster"
    ),
    "http": Refusal("the local engine sends no requests: let a script do it, with `curl` for instance"),
    "plugin": Refusal("the local engine has no plugins: let a script do it"),
    "data": Refusal("the local engine lists no storage: let a script print the list"),
}
POD = {
    "metadata": IGNORED,
    "annotations": IGNORED,
    "volumes": [VOLUME],
    **dict.fromkeys((*_PLACEMENT, "serviceAccountName", "archiveLocation", "memoize"), NOTED),
    **_NO_POD,
}
RUN = {
    "volumes": [VOLUME],
    "volumeClaimTemplates": [CLAIM],
    **dict.fromkeys(
        (
            *_PLACEMENT,
            *("podPriorityClassName", "podPriority", "dnsPolicy", "dnsConfig", "hostNetwork", "podDisruptionBudget"),
            *("artifactGC", "artifactRepositoryRef", "volumeClaimGC"),
        ),
        NOTED,
    ),
    **dict.fromkeys(
        (
            "serviceAccountName",
            "ttlStrategy",
            "podGC",
            "podMetadata",
            "workflowMetadata",
            "imagePullSecrets",
            "archiveLogs",
        ),
        IGNORED,
    ),
}
