from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.integration.conftest import free_ports
from tests.integration.monitoring.scene import Scene
from tests.integration.s3.cloud import Cloud
from tests.integration.s3.conftest import Moto, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST_PORT = 19710


@pytest.fixture(scope="session")
def aws() -> Iterator[Moto]:
    """An SQS server, and the credentials for the daemon."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing-secret")
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        server = Moto(free_port())
        yield server
        server.stop()


@pytest.fixture(scope="session")
def scene(aws: Moto, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    cloud = Cloud(aws.url, "monitoring")
    scene = Scene(tmp_path_factory.mktemp("scene"), free_ports(FIRST_PORT, 2), aws.url, cloud.queue())
    cloud.close()
    try:
        scene.begin()
        yield scene
    finally:
        scene.close()
