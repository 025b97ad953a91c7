"""Real servers: moto's S3, SNS, SQS and EventBridge in a separate process, and MinIO."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.integration.s3.cloud import Cloud
from tests.integration.s3.lake_engine import LakeEngine

if TYPE_CHECKING:
    from collections.abc import Iterator

SERVERS = Path(__file__).parents[1] / "servers"


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")


class Moto:
    """The server. `stop` and `start` lose its data, which is in memory."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._port = port
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(self._port)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while True:
            assert self._process.poll() is None, "moto's server ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self._port)) == 0:
                    return

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


def free_port() -> int:
    """A free port below the kernel's range for clients. Parallel sessions rarely choose the same one."""
    while True:
        port = random.randrange(20000, 32000)
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture(scope="session")
def moto() -> Iterator[Moto]:
    server = Moto(free_port())
    yield server
    server.stop()


@pytest.fixture
def cloud(moto: Moto, credentials: None, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """Queues, buckets and topics of this test."""
    cloud = Cloud(moto.url, f"t{abs(hash(request.node.name)) % 10**9}")
    yield cloud
    cloud.close()


@pytest.fixture
def house(tmp_path: Path) -> Iterator[LakeEngine]:
    house = LakeEngine(tmp_path / "retrainer.db")
    yield house
    house.close()


@pytest.fixture
def small_house(tmp_path: Path) -> Iterator[LakeEngine]:
    """An engine whose queue holds at most 20 events that are not stored yet."""
    house = LakeEngine(tmp_path / "retrainer.db", max_queue=20)
    yield house
    house.close()
