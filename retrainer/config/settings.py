"""The daemon's own settings, ``retrainer.yaml``: frozen, each field documented beneath itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from retrainer.config.models import Count, Duration, Interval, Model, Name, Secret, Size, Timeout


class ArgoEngine(Model):
    type: Literal["argo"]
    """Runs workflows on Kubernetes with Argo Workflows."""
    namespaces: list[str] = Field(default=["default"], min_length=1)
    """Namespaces that rules may submit to and that are watched; the first is the default."""
    kubeconfig: str | None = None
    """Path of a kubeconfig; in a pod its service account, else the usual chain."""
    instance_id: str | None = None
    """Argo's controller instance id (label workflows.argoproj.io/controller-instanceid)."""
    request_timeout: Timeout = 10.0
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
    isolate_steps: bool = True
    """Keep steps from reading the environment of other processes: by a user namespace of their own, as root by taking
    the capabilities SYS_ADMIN, SYS_PTRACE and PERFMON from them. Turn it off for steps that need `sudo` or mount."""
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Submissions under way at once."""


Engine = Annotated[ArgoEngine | LocalEngine, Field(discriminator="type")]


class Store(Model):
    path: str = "retrainer.db"
    """SQLite file, on a local disk (never NFS), seen from the settings file's own folder if relative."""
    url: str | None = None
    """PostgreSQL database instead of the file, which several replicas may share:
    `postgresql+psycopg://user@host:5432/database`, with libpq's parameters behind a `?`."""
    password: Secret | None = None
    """The database user's password, read anew for each connection; a URL holds none."""
    ledger_max_age: Duration = 2592000.0
    """Events, decisions and ended runs older than this are pruned, unless a pending window still needs them."""
    ledger_max_size: Size = 10 * 1024**3
    """When the store grows beyond this, the oldest events that nothing needs and the oldest entries of the journal go
    first. Dead letters take up a quarter of it at most: beyond that the oldest are dropped, and counted."""
    max_dead_letters: Count = 100000
    """Beyond this the oldest dead letters are dropped, and counted."""


class Http(Model):
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 picks a free one."""
    token: Secret | None = None
    """Bearer token of the API; needed when bound beyond loopback."""
    read_token: Secret | None = None
    """Bearer token that may only read (GET under `/api/`): for workflows that fetch their manifest, and for scripts."""
    max_queue: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Events that may wait for the engine before webhooks answer 503."""
    allowed_hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,253})$")]] = Field(default=[])
    """Names (without port) that requests may give as Host besides those of loopback. A daemon on loopback answers to
    no other, which keeps web pages out that rebind their name; one that is bound beyond it answers to any, if none is
    given."""
    allowed_origins: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^/\s?#@]+$")]] = Field(default=[])
    """Web pages' origins (`https://console.example.org`) that may send; all others are refused."""


class Metrics(Model):
    per_rule: Literal["all", "core", "none"] | None = None
    """Which series each rule has: `all`; `core`, those that the shipped alerts ask for; `none`. If not given it is
    `all` up to 1,000 rules, and `core` beyond."""


class ApiManifests(Model):
    type: Literal["api"] = "api"
    """Manifests are read from the daemon, `GET /api/v1/runs/{id}/manifest`, with one of its tokens."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    """Where workflows reach the daemon, such as `http://retrainer.ml:8080`; its own host and port if not given."""


class S3Manifests(Model):
    type: Literal["s3"]
    """Manifests are written to a bucket before their Workflow is created."""
    url: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[^\s?#]*)?$")]
    """`s3://bucket/prefix`; the manifest of a run is `<prefix>/<run>.json`."""
    endpoint_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Where the bucket is, if not at AWS."""
    region: str | None = None
    """Its region; by the usual AWS chain if not given."""


class VolumeManifests(Model):
    type: Literal["volume"]
    """Manifests are written to a folder that workflows mount as well, before their Workflow is created."""
    path: str
    """The folder as the daemon sees it, from the settings file's own folder if relative."""
    uri: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://\S*$")]
    """The folder as workflows see it, such as `file:///data/manifests`."""


Manifests = Annotated[ApiManifests | S3Manifests | VolumeManifests, Field(discriminator="type")]


class ConfigMaps(Model):
    namespaces: list[str] = Field(min_length=1)
    """Namespaces of teams: those of the engine, or some of them. Rules from there run there, and define no sources."""
    selector: Annotated[str, Field(pattern=r"^[^\s&?#]+$")] | None = None
    """Labels that make a ConfigMap one of ours; `retrainer.dev/rules=<name>` if not given."""


class Settings(Model):
    version: Literal[1]
    """Version of the format."""
    name: Name = "retrainer"
    """Name of this instance: on the Workflows it owns and in its metrics."""
    rules: list[str] = Field(default=["rules"], min_length=1)
    """Rule files or folders of them, seen from the settings file's own folder if relative."""
    config_maps: ConfigMaps | None = None
    """Rule files of teams, in ConfigMaps of their own namespaces; read through the API server and followed."""
    engine: Engine
    """Where workflows run."""
    store: Store = Store()
    """Where everything is kept."""
    http: Http = Http()
    """API, webhooks, metrics and probes."""
    metrics: Metrics = Metrics()
    """What `/metrics` has."""
    manifests: Manifests = ApiManifests()
    """Where `${run.manifest_uri}` leads: to the list of everything that fed a run (docs/reference/manifest.md)."""
    reload_interval: Interval = 5.0
    """How often the rule files are looked at for a change (besides SIGHUP and POST /-/reload)."""
