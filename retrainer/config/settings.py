"""The daemon's settings, ``retrainer.yaml``: frozen models. The string below each field is its documentation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from retrainer.config.models import (
    Count,
    Duration,
    Interval,
    LinkName,
    LinkTemplate,
    Model,
    Name,
    Secret,
    Size,
    Timeout,
)
from retrainer.config.models.base import longer_than_nothing


class ArgoEngine(Model):
    type: Literal["argo"]
    """Runs workflows on Kubernetes with Argo Workflows."""
    namespaces: list[str] = Field(default=["default"], min_length=1)
    """Namespaces that rules may submit to and that are watched; the first is the default."""
    kubeconfig: str | None = None
    """Path of a kubeconfig. Default: in a pod its service account, otherwise the usual chain."""
    instance_id: str | None = None
    """Argo's controller instance id (label workflows.argoproj.io/controller-instanceid)."""
    request_timeout: Timeout = 10.0
    """Timeout of one request to the API server."""
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Maximum number of simultaneous submissions."""


class LocalEngine(Model):
    type: Literal["local"]
    """Runs `container` and `script` templates as processes on this machine, for tests and development."""
    templates: str
    """Folder of WorkflowTemplate manifests, relative to the folder of the settings file."""
    runs: str
    """Folder in which each run gets its own folder."""
    isolate_steps: bool = True
    """Prevents steps from reading the environment of other processes: by a separate user namespace, or, as root,
    without the capabilities SYS_ADMIN, SYS_PTRACE and PERFMON. Turn it off for steps that need `sudo` or mount."""
    connections: Annotated[int, Field(ge=1, le=64)] = 4
    """Maximum number of simultaneous submissions."""


Engine = Annotated[ArgoEngine | LocalEngine, Field(discriminator="type")]


class Store(Model):
    path: str = "retrainer.db"
    """SQLite file, relative to the folder of the settings file. It must be on a local disk, never on NFS."""
    url: str | None = None
    """PostgreSQL database instead of the file; several replicas may share it.
    `postgresql+psycopg://user@host:5432/database`, with parameters of libpq after a `?`."""
    password: Secret | None = None
    """Password of the database user, read for each connection. The URL must not contain one."""
    ledger_max_age: Duration = 2592000.0
    """Events, decisions and ended runs older than this are pruned, unless a pending window still needs them."""
    ledger_max_size: Size = 10 * 1024**3
    """When the store is larger than this, the oldest events that nothing needs and the oldest entries of the journal
    are removed. Dead letters use at most a quarter of it; beyond that the oldest are dropped and counted."""
    max_dead_letters: Count = 100000
    """Maximum number of dead letters. Beyond this the oldest are dropped and counted."""
    max_backup_age: Annotated[Interval, longer_than_nothing("write 1h or more")] | None = None
    """Age of the last reported backup from which the alert RetrainerBackupTooOld fires. Default: backups are not
    expected."""


class ServerTls(Model):
    certificate: str
    """PEM file of the certificate, followed by its intermediates. The files are read again when they change."""
    key: str
    """PEM file of its key, without a password."""
    client_authorities: str | None = None
    """PEM file of authorities. With it, clients must present a certificate from one of them, except for `/healthz` and
    `/readyz`. Tokens and the checks of webhooks stay as they are."""
    replica_authorities: str | None = None
    """PEM file of authorities that a replica trusts when it forwards a request to the leader, in addition to those of
    the system and to what is in `certificate`."""
    replica_name: str | None = None
    """Name that the leader's certificate must have. Default: the first name in `certificate`."""


Verb = Literal["read", "act", "administer"]
"""What a token permits: see the documentation of `ApiToken.verbs`."""


def _all_or_list(value: object) -> object:
    if value != "all" and not isinstance(value, list):
        name = value if isinstance(value, str) else "NAMESPACE"
        raise ValueError(f"expected a list or `all`: write `[{name}]`")
    return value


class ApiToken(Model):
    name: Name
    """Name of its holder: a team or a program. The log and the list of activity show it, never the token."""
    token: Secret
    """The token. Its file is read again when it changes, so that a rotation needs no restart."""
    namespaces: Annotated[Literal["all"] | list[str], BeforeValidator(_all_or_list)]
    """Namespaces whose rules and runs it concerns, or `all`. Others do not exist for it."""
    verbs: list[Verb] = Field(default=["read"], min_length=1)
    """`read`: lists, details, explanations, logs. `act`: trigger, backfill, pause, resume, cancel, retry, feedback.
    `administer`: what concerns all teams (reload, dead letters, sources, state import, backup, log level), so
    `namespaces` must be `all`. None includes another."""
    users: dict[Annotated[str, Field(min_length=1, max_length=100)], list[Verb]] = Field(default={}, max_length=1000)
    """Further verbs of single users, if a proxy that signs users in holds the token and names each of them in the
    header `Retrainer-User`."""


class Http(Model):
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8080
    """Port to listen on; 0 selects a free port."""
    token: Secret | None = None
    """Bearer token of the API that permits everything. This one or `tokens` is required if the host is not loopback."""
    read_token: Secret | None = None
    """Bearer token for reading only: for workflows that fetch their manifest, and for scripts."""
    tokens: list[ApiToken] = Field(default=[])
    """More tokens of the API: one for each team or program, with its namespaces and verbs."""
    max_wrong_tokens: Count = 100
    """Wrong tokens and signatures that one address may send in a minute, to the API and to webhooks. Further wrong ones
    are answered with 429. Valid ones are always accepted."""
    tls: ServerTls | None = None
    """Serves everything on this port over TLS 1.2 or later. Default: plain HTTP."""
    max_queue: Annotated[int, Field(ge=1, le=1_000_000)] = 5000
    """Events that may wait for the engine before webhooks answer 503."""
    allowed_hosts: list[Annotated[str, Field(pattern=r"^[A-Za-z0-9]([A-Za-z0-9.-]{0,253})$")]] = Field(default=[])
    """Host names (without port) that requests may use in addition to those of loopback. A daemon on loopback accepts no
    others, which protects it from web pages that rebind their name. A daemon that listens beyond loopback accepts any
    name, if none is given."""
    allowed_origins: list[Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://[^/\s?#@]+$")]] = Field(default=[])
    """Origins of web pages (`https://console.example.org`) that may send requests. All others are refused."""
    external_url: Annotated[str, Field(pattern=r"^https?://[^\s?#@/]+(/[^\s?#@/]+)*/?$")] | None = None
    """Address at which browsers reach the daemon, such as `https://ml.example.com/retrainer`, if a proxy is in front of
    it. Links to the page begin with it. Its host and origin are allowed. A proxy may remove its path from requests, or
    leave it there."""


class Log(Model):
    level: Literal["debug", "info", "warning", "error"] = "info"
    """The least severe lines that are written. `retrainer log-level` changes it while the daemon runs."""
    format: Literal["auto", "json", "text"] = "auto"
    """`json`; `text`, for people; `auto`: text on a terminal, JSON elsewhere."""


class Metrics(Model):
    per_rule: Literal["all", "core", "none"] | None = None
    """Which series each rule has: `all`; `core`, those that the shipped alerts use; `none`. Default: `all` up to 1,000
    rules, `core` beyond."""


class Tracing(Model):
    endpoint: Annotated[str, Field(pattern=r"^https?://[^\s?#@]+$")] | None = None
    """Address of an OpenTelemetry collector that takes OTLP over HTTP, such as `http://collector:4318`. Default:
    OTEL_EXPORTER_OTLP_TRACES_ENDPOINT, OTEL_EXPORTER_OTLP_ENDPOINT, or `http://localhost:4318`."""
    sample: Annotated[float, Field(ge=0, le=1)] | None = None
    """Share of the runs that are traced. Default: OTEL_TRACES_SAMPLER, or all."""


class ApiManifests(Model):
    type: Literal["api"] = "api"
    """Manifests are read from the daemon, by `GET /api/v1/runs/{id}/manifest` with one of its tokens."""
    base_url: Annotated[str, Field(pattern=r"^https?://[^\s?#]+$")] | None = None
    """Address of the daemon for workflows, such as `http://retrainer.ml:8080`. Default: its own host and port."""


class S3Manifests(Model):
    type: Literal["s3"]
    """Manifests are written to a bucket before their Workflow is created."""
    url: Annotated[str, Field(pattern=r"^s3://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[^\s?#]*)?$")]
    """`s3://bucket/prefix`; the manifest of a run is `<prefix>/<run>.json`."""
    endpoint_url: Annotated[str, Field(pattern=r"^https?://")] | None = None
    """Address of the server of the bucket, if it is not AWS."""
    region: str | None = None
    """Region of the bucket. Default: that of the usual AWS chain."""


class VolumeManifests(Model):
    type: Literal["volume"]
    """Manifests are written to a folder that workflows mount too, before their Workflow is created."""
    path: str
    """Path of the folder for the daemon, relative to the folder of the settings file."""
    uri: Annotated[str, Field(pattern=r"^[a-z][a-z0-9+.-]*://\S*$")]
    """Address of the folder for workflows, such as `file:///data/manifests`."""


Manifests = Annotated[ApiManifests | S3Manifests | VolumeManifests, Field(discriminator="type")]


class ConfigMaps(Model):
    namespaces: list[str] = Field(min_length=1)
    """Namespaces of teams: those of the engine, or some of them. Rules from a namespace run in it, and define no
    sources."""
    selector: Annotated[str, Field(pattern=r"^[^\s&?#]+$")] | None = None
    """Label selector of the ConfigMaps. Default: `retrainer.dev/rules=<name>`."""


class Settings(Model):
    version: Literal[1]
    """Version of the format."""
    name: Name = "retrainer"
    """Name of this instance: on the Workflows it owns and in its metrics."""
    rules: list[str] = Field(default=["rules"], min_length=1)
    """Rule files or folders of them, relative to the folder of the settings file."""
    config_maps: ConfigMaps | None = None
    """Rule files of teams, in ConfigMaps of their namespaces. They are watched through the API server."""
    engine: Engine
    """Where workflows run."""
    store: Store = Store()
    """Where state is stored."""
    http: Http = Http()
    """API, webhooks, metrics and probes."""
    log: Log = Log()
    """The daemon's log, on stderr."""
    metrics: Metrics = Metrics()
    """Which series `/metrics` has."""
    tracing: Tracing | None = None
    """Exports spans of events and runs by OpenTelemetry. `tracing: {}` takes everything from the standard variables
    OTEL_*. Default: no tracing."""
    manifests: Manifests = ApiManifests()
    """Where the list of the inputs of a run is, the target of `${run.manifest_uri}` (docs/reference/manifest.md)."""
    links: dict[LinkName, LinkTemplate] = Field(default={}, max_length=20)
    """Links of the page and the API from runs and rules to other pages, by name: `Logs:
    https://grafana.example.com/explore?workflow={workflow}&from={from_ms}&to={to_ms}`. `{rule}`, `{key}` and
    `{namespace}` are filled in for both, `{run}`, `{workflow}`, `{uid}`, `{from_ms}` and `{to_ms}` for runs only."""
    reload_interval: Annotated[Interval, longer_than_nothing("write 1s or more")] = 5.0
    """How often rule files are checked for changes (in addition to SIGHUP and POST /-/reload)."""
