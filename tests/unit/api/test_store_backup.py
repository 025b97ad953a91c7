"""A copy of the store through the API: what is refused, what is recorded, and what becomes of its space."""

from __future__ import annotations

import asyncio
import io
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from retrainer.api import store_backup
from retrainer.api.store_backup import PIECE, SqliteFile
from retrainer.store.backup import BackupContent
from tests.unit.api.ledger import NOW

if TYPE_CHECKING:
    from retrainer.api.server import WebServer


@pytest.mark.parametrize("version", ["2.3", "2.4"])
def test_the_space_of_a_copy_is_free_when_the_client_goes_away(version: str) -> None:
    file = io.BytesIO(bytes(10 * PIECE))
    sent: list[Any] = []
    gone = asyncio.Event()

    async def send(message: Any) -> None:
        sent.append(message)
        if len(sent) == 3:
            gone.set()
            if version == "2.4":
                raise OSError
        await asyncio.sleep(0)

    async def receive() -> Any:
        await gone.wait()
        return {"type": "http.disconnect"}

    async def serve() -> None:
        response = SqliteFile.of(BackupContent(file, NOW, 10 * PIECE, "0006", "00"), "ml")
        try:
            await response({"type": "http", "asgi": {"spec_version": version}}, receive, send)
        except Exception:  # noqa: BLE001 - ClientDisconnect, or a group with it
            assert version == "2.4"

    asyncio.run(serve())
    assert len(sent) < 10
    assert file.closed


def test_a_copy_for_which_there_is_no_space_is_not_made(server: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_backup.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    answer = httpx.post(f"{server.url}/api/v1/store/backup", trust_env=False)
    assert answer.status_code == 507
    assert "enlarge the volume" in answer.json()["detail"]


def test_one_copy_at_a_time(server: WebServer) -> None:
    with store_backup._copying:
        answer = httpx.post(f"{server.url}/api/v1/store/backup", trust_env=False)
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)
