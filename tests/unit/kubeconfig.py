"""Where an API server is that a test plays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import orjson

if TYPE_CHECKING:
    from pathlib import Path


def kubeconfig(path: Path, port: int, token: str = "t1", scheme: str = "http") -> str:
    """Write it into a folder, for an API server on that port of this machine; return where it is."""
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
