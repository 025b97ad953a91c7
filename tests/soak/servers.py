"""The servers that the daemons use, on separate ports, and the proxies in front of them."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import signal
import socket
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from kafka import KafkaProducer

from tests.benchmarks.cluster import KUBECONFIG, Cluster, Namespace
from tests.cluster.conftest import pid as cluster_pid
from tests.cluster.conftest import server as cluster_server
from tests.cluster.proxy import API_PORT, write_kubeconfig
from tests.integration.broker import CACHE as KAFKA_CACHE
from tests.integration.broker import Broker
from tests.integration.conftest import free_ports
from tests.integration.kafka.registry import Registry
from tests.integration.minio import PASSWORD, USER, Minio
from tests.integration.postgres.proxy import Proxy
from tests.integration.postgres.server import PASSWORD as DATABASE_PASSWORD
from tests.integration.postgres.server import Postgres
from tests.integration.prometheus.monitoring import TOKEN, Monitoring, Target
from tests.soak import rules

if TYPE_CHECKING:
    from collections.abc import Callable

KAFKA_PORT, MINIO_PORT, POSTGRES_PORT, MONITORING_PORT = 19920, 20030, 20140, 20250
"""First ports of the search for free ports. The tests' own servers use other ports."""
TOPICS = ("records", "pond", "packed")
MINIO_RUN = Path(os.environ.get("MINIO_DIR", Path.home() / ".cache" / "retrainer-minio"))
SASL = 2
"""The broker's listener for clients that are not cut off together with the daemons."""


class Door(Proxy):
    """Forwards each new connection to one of the answering daemons in turn, as a Service does."""

    def __init__(self) -> None:
        self.ports: list[int] = []
        self._turn = itertools.count()
        super().__init__(0)

    def connect(self) -> socket.socket:
        turn = next(self._turn)
        for n in range(len(self.ports)):
            with contextlib.suppress(OSError):
                return socket.create_connection(("127.0.0.1", self.ports[(turn + n) % len(self.ports)]))
        raise ConnectionRefusedError


class Servers:
    """All servers, running from `__enter__` to `__exit__`. ``lines`` has the proxies that can be cut, by name."""

    def __init__(self) -> None:
        self._end = contextlib.ExitStack()
        self.door = Door()
        self.broker = Broker(free_ports(KAFKA_PORT, 5))
        self.postgres = Postgres(free_ports(POSTGRES_PORT, 1))
        self.monitoring = Monitoring(free_ports(MONITORING_PORT, 2))
        kafka_line = Proxy(self.broker.port)
        hook = f"http://127.0.0.1:{self.door.port}/hooks/lake"
        self.minio = Minio(free_ports(MINIO_PORT, 1), f"127.0.0.1:{kafka_line.port}", "pond", hook, TOKEN)
        self._minio_port = int(self.minio.url.rpartition(":")[2])
        self.target, self.registry = Target(), Registry()
        self.lines = {
            "kafka-line": kafka_line,
            "minio-line": Proxy(self._minio_port),
            "prometheus-line": Proxy(self.monitoring.port),
            **{f"{name}-postgres": Proxy(self.postgres.port) for name in "ab"},
            **{f"{name}-api": Proxy(API_PORT) for name in "ab"},
        }
        self.cluster = Cluster()

    def __enter__(self) -> Self:
        os.environ |= {
            "KAFKA_ADVERTISED": f"127.0.0.1:{self.lines['kafka-line'].port}",
            "AWS_ACCESS_KEY_ID": USER,
            "AWS_SECRET_ACCESS_KEY": PASSWORD,
            "PGPASSWORD": DATABASE_PASSWORD,
            rules.SECRET: TOKEN,
        }
        try:
            self._up()
        except BaseException:
            self._end.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()

    def _up(self) -> None:
        for line in (self.door, *self.lines.values()):
            self._end.callback(line.close)
        self._end.callback(self.registry.stop)
        self.registry.schemas[1] = {
            "schema": '{"type": "record", "name": "r", "fields": [{"name": "n", "type": "long"}]}'
        }
        self._started(self.broker.up, self.broker.down)
        for topic in TOPICS:
            self.broker.create_topic(topic)
        self._started(lambda: self.postgres.call("up"), lambda: self.postgres.call("down"))
        self.database = self.postgres.database()
        self._started(self.minio.up, self.minio.down)
        self.minio.bucket("lake", target="webhook")
        self.minio.bucket("pond", target="kafka")
        self._watched()
        namespace = self._end.enter_context(Namespace(self.cluster))
        self.namespace = namespace.name
        self.cluster.request(
            "POST", f"/apis/argoproj.io/v1alpha1/namespaces/{self.namespace}/workflowtemplates", rules.TEMPLATE
        )

    def _started(self, up: Callable[[], Any], down: Callable[[], Any]) -> None:
        self._end.callback(down)
        up()

    def _watched(self) -> None:
        serving = threading.Thread(target=self.target.serve, daemon=True)
        serving.start()
        self._end.callback(self.target.stop)
        self.monitoring.configure(self.target.port, f"http://127.0.0.1:{self.door.port}/hooks/alerts")
        self._started(lambda: self.monitoring.call("up"), lambda: self.monitoring.call("down"))

    def sources(self) -> dict[str, Any]:
        """As in the rule files: each is reached through its proxy."""
        at = {name: f"127.0.0.1:{line.port}" for name, line in self.lines.items()}
        minio, prometheus = f"http://{at['minio-line']}", f"http://{at['prometheus-line']}"
        return rules.sources(at["kafka-line"], minio, prometheus, self.registry.url)

    def kubeconfig(self, daemon: str, folder: Path) -> str:
        """Write a kubeconfig through the proxy of this daemon, with the token of the cluster's own."""
        cluster = {
            "server": f"https://127.0.0.1:{self.lines[f'{daemon}-api'].port}",
            "certificate-authority": str(KUBECONFIG.parent / "api.crt"),
        }
        return write_kubeconfig(folder, cluster, self.cluster.headers["Authorization"].removeprefix("Bearer "))

    def store_url(self, daemon: str) -> str:
        return self.postgres.url(self.database, self.lines[f"{daemon}-postgres"].port)

    def producer(self) -> KafkaProducer:
        """An idempotent producer that is not affected by cut connections."""
        return KafkaProducer(
            bootstrap_servers=self.broker.listener(SASL),
            security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="PLAIN",
            sasl_plain_username="retrainer",
            sasl_plain_password="retrainer-secret",
            acks="all",
            enable_idempotence=True,
            max_request_size=4 << 20,
        )

    def process(self, part: str) -> list[int]:
        """The processes to stop when this server is frozen."""
        if part == "kafka":
            return [int((KAFKA_CACHE / f"run-{self.broker.port}" / "kafka.pid").read_text())]
        if part == "minio":
            return [int((MINIO_RUN / f"run-{self._minio_port}" / "minio.pid").read_text())]
        if part == "backend":
            own = "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            return [int(found) for (found,) in self.postgres.query(self.database, own)][:1]
        return [cluster_pid(part)]

    def freeze(self, part: str) -> Callable[[], None]:
        """Freeze a server; return a function that resumes it."""
        if part == "postgres":
            self.postgres.call("freeze")
            return lambda: self.postgres.call("thaw")
        if part in ("prometheus", "alertmanager"):
            self.monitoring.call("freeze", part)
            return lambda: self.monitoring.call("thaw", part)
        found = self.process(part)
        _signal(found, signal.SIGSTOP)
        return lambda: _signal(found, signal.SIGCONT)

    def end(self, part: str, kind: str) -> Callable[[], None]:
        """Stop a server, by SIGKILL or cleanly; return a function that starts it with its data."""
        if part == "kafka":
            self.broker.kill()
            return self.broker.start
        if part == "postgres":
            self.postgres.call(kind)
            return lambda: self.postgres.call("start")
        if part in ("prometheus", "alertmanager"):
            self.monitoring.call(kind, part)
            return lambda: self.monitoring.call("start", part)
        if part == "minio":
            _signal(self.process(part), signal.SIGKILL)
            return lambda: self.minio.call("up")
        cluster_server("stop", part)
        return lambda: cluster_server("start", part)

    def keep_logs(self, folder: Path) -> None:
        """Copy the logs of the servers, where they exist."""
        runs = {
            "kafka.log": KAFKA_CACHE / f"run-{self.broker.port}",
            "minio.log": MINIO_RUN / f"run-{self._minio_port}",
            "postgres.log": Path(f"/var/cache/retrainer-postgres/run-{self.postgres.port}"),
            "prometheus.log": self.monitoring.folder,
            "alertmanager.log": self.monitoring.folder,
        }
        for name, run in runs.items():
            with contextlib.suppress(OSError):
                shutil.copy(run / name, folder / name)

    def size(self) -> int:
        """Bytes of the database."""
        return int(self.postgres.query(self.database, "SELECT pg_database_size(current_database())")[0][0])


def _signal(processes: list[int], number: signal.Signals) -> None:
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, number)
