"""Write a docker archive with one layer, without Docker: image.py NAME OUT ENTRYPOINT_JSON source=destination...

A source may be a directory; with the destination `/` it becomes the root.
"""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def layer(path: Path, pairs: list[str]) -> str:
    """Write the layer; return its digest."""
    with tarfile.open(path, "w") as tar:
        for pair in pairs:
            source, destination = pair.split("=")
            name = destination.lstrip("/") or "."
            tar.add(source, arcname=name, filter=lambda entry: None if entry.isdev() else entry)
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def archive(name: str, out: Path, entrypoint: str, pairs: list[str]) -> None:
    path = out.with_suffix(".layer")
    digest = layer(path, pairs)
    config = {"Entrypoint": json.loads(entrypoint) or None, "Env": [PATH]}
    layers = {"type": "layers", "diff_ids": [f"sha256:{digest}"]}
    image = json.dumps({"architecture": "amd64", "os": "linux", "config": config, "rootfs": layers}).encode()
    config_name = f"{hashlib.sha256(image).hexdigest()}.json"
    index = json.dumps([{"Config": config_name, "RepoTags": [name], "Layers": ["l/layer.tar"]}]).encode()
    with tarfile.open(out, "w") as tar:
        for entry, content in ((config_name, image), ("manifest.json", index)):
            info = tarfile.TarInfo(entry)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        tar.add(path, arcname="l/layer.tar")
    path.unlink()


if __name__ == "__main__":
    archive(sys.argv[1], Path(sys.argv[2]), sys.argv[3], sys.argv[4:])
