"""A kubeconfig for an API server that a test simulates."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(path: Path, port: int, token: str = "t1", scheme: str = "http") -> str:
    """Write a kubeconfig for an API server on ``port`` of this machine into the folder ``path``; return its path."""
    file = path / "kubeconfig"
    file.write_bytes(
        orjson.dumps(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "c", "cluster": {"server": f"{scheme}://127.0.0.1:{port}"}}],
                "users": [{"name": "u", "user": {"token": token}}],
                "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
                "current-context": "x",
            }
        )
    )
    return str(file)
