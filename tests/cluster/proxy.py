"""A TCP proxy to the API server that can go silent, discard answers or cut connections."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import TYPE_CHECKING, Self

import orjson

from .conftest import CLUSTER

if TYPE_CHECKING:
    from pathlib import Path

API_PORT = 26443


class Proxy:
    """Listens on the loopback. With `swallow`, the server receives every request, and its answers are discarded."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.swallow = threading.Event()
        self._sockets: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def cut(self) -> None:
        """Cut all existing connections. New ones are accepted."""
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()
        self._sockets.clear()

    def kubeconfig(self, folder: Path, token: str = "admintoken") -> str:
        """Write a kubeconfig that leads through this proxy."""
        cluster = {
            "server": f"https://127.0.0.1:{self.port}",
            "certificate-authority": str(CLUSTER / "run" / "api.crt"),
        }
        return write_kubeconfig(folder, cluster, token)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", API_PORT))
            self._sockets += [client, server]
            threading.Thread(target=self._pump, args=(client, server, None), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client, self.swallow), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket, swallow: threading.Event | None) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if swallow is None or not swallow.is_set():
                    target.sendall(data)
            target.shutdown(socket.SHUT_WR)


def write_kubeconfig(folder: Path, cluster: dict[str, str], token: str) -> str:
    path = folder / "kubeconfig"
    path.write_bytes(
        orjson.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": cluster}],
                "users": [{"name": "user", "user": {"token": token}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "user"}}],
                "current-context": "test",
            }
        )
    )
    return str(path)
