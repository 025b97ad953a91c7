# ruff: noqa: INP001, T201 - a script that stands alone
"""Look into the archive of an image: write its list of contents, and say how big it is."""

from __future__ import annotations

import io
import json
import sys
import tarfile
from pathlib import Path
from typing import Any

SBOM = "opt/retrainer/share/sbom/retrainer.cdx.json"


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        sys.exit(f"{archive.name} holds no image: {name} is not in it; build it again")
    return file.read()


def layers(archive: tarfile.TarFile) -> list[tuple[int, bytes]]:
    """Return the layers of the one image in an OCI archive, each with its packed size in bytes."""
    document: dict[str, Any] = json.loads(read(archive, "index.json"))
    while "layers" not in document:  # an index may point to another one
        document = json.loads(read(archive, blob(document["manifests"][0]["digest"])))
    return [(layer["size"], read(archive, blob(layer["digest"]))) for layer in document["layers"]]


def blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def main(path: str, sbom: str) -> None:
    packed = unpacked = 0
    with tarfile.open(path) as archive:
        for size, layer in layers(archive):
            packed += size
            with tarfile.open(fileobj=io.BytesIO(layer)) as files:
                for entry in files:
                    unpacked += entry.size
                    if entry.name.removeprefix("./") == SBOM and (file := files.extractfile(entry)) is not None:
                        Path(sbom).write_bytes(file.read())
    print(f"{path}: {packed / 1e6:.0f} MB packed, {unpacked / 1e6:.0f} MB unpacked; {sbom} lists what is inside")


if __name__ == "__main__":
    main(*sys.argv[1:])
