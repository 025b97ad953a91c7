"""The daemon's own settings, ``retrainer.yaml``: frozen, each field documented beneath itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retrainer.config.models import Duration, Model, Name, Secret, Size


class ArgoEngine(Model):
    type: Literal["argo"]
    """Runs workflows on Kubernetes with Argo Workflows."""
    namespaces: list[str] = Field(default=["default"], min_length=1)
    """Namespaces that rules may submit to and that are watched; the first is the default."""
    kubeconfig: str | None = None
    """Path of a kubeconfig; in a pod its service account, else the usual chain."""
    instance_id: str | None = None
    """Argo's controller instance id (label workflows.argoproj.io/controller-instanceid)."""
    request_timeout: Duration = 10.0
    """How long one request to the API server may take."""
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Submissions under way at once."""


class LocalEngine(Model):
    type: Literal["local"]
    """Runs `container` and `script` templates as processes of this machine, for trying things out."""
    templates: str
    """Folder of WorkflowTemplate manifests, seen from the settings file's own folder if relative."""
    runs: str
    """Folder in which each run gets one of its own."""
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Submissions under way at once."""


Engine = Annotated[ArgoEngine | LocalEngine, Field(discriminator="type")]


class Store(Model):
    path: str = "retrainer.db"
    """SQLite file, on a local disk (never NFS), seen from the settings file's own folder if relative."""
    ledger_max_age: Duration = 2592000.0
    """Events, decisions and ended runs older than this are pruned, unless a pending window still needs them."""
    ledger_max_size: Size = 10 * 1024**3
    """When the store grows beyond this, the oldest events that nothing needs are pruned first."""
    max_dead_letters: Annotated[int, Field(ge=1)] = 100000
    """Beyond this the oldest dead letters are dropped, and counted."""


class Http(Model):
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 picks a free one."""
    token: Secret | None = None
    """Bearer token of the API; needed when bound beyond loopback."""
    max_queue: Annotated[int, Field(ge=1)] = 5000
    """Events that may wait for the engine before webhooks answer 503."""


class Settings(Model):
    version: Literal[1]
    """Version of the format."""
    name: Name = "retrainer"
    """Name of this instance: on the Workflows it owns and in its metrics."""
    rules: list[str] = Field(default=["rules"], min_length=1)
    """Rule files or folders of them, seen from the settings file's own folder if relative."""
    engine: Engine
    """Where workflows run."""
    store: Store = Store()
    """Where everything is kept."""
    http: Http = Http()
    """API, webhooks, metrics and probes."""
    reload_interval: Duration = 5.0
    """How often the rule files are looked at for a change (besides SIGHUP and POST /-/reload)."""
