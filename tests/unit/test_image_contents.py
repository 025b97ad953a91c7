"""The list of contents of an image: its own list of Python packages, and the packages of its base."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import subprocess
import sys
import tarfile
from pathlib import Path

SCRIPT = Path(__file__).parents[2] / "deploy" / "image" / "contents.py"
STATUS = """Package: libssl3
Status: install ok installed
Architecture: amd64
Source: openssl (3.0.22-1)
Version: 3.0.22-1~deb12u2
Description: shared libraries
 of which there are two

Package: adduser
Status: deinstall ok config-files
Architecture: all
Version: 3.134

Package: zlib1g
Status: install ok installed
Architecture: amd64
Version: 1:1.2.13+dfsg-1
"""
PYTHON = {"components": [{"type": "library", "name": "click", "purl": "pkg:pypi/click@8.1"}]}


def tarred(files: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return packed.getvalue()


def image(*contents: dict[str, bytes], platforms: tuple[str, ...] = ("amd64",)) -> bytes:
    """An OCI archive of one image with these layers for each platform; of several, with an index in the index."""
    blobs: dict[str, bytes] = {}

    def stored(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"digest": f"sha256:{digest}", "size": len(data)}

    layers = [stored(gzip.compress(tarred(files))) for files in contents]
    images = [
        stored(json.dumps({"config": stored(json.dumps({"architecture": one}).encode()), "layers": layers}).encode())
        for one in platforms
    ]
    index = {"manifests": images if len(images) == 1 else [stored(json.dumps({"manifests": images}).encode())]}
    return tarred({**blobs, "index.json": json.dumps(index).encode()})


def listed(folder: Path, *contents: dict[str, bytes]) -> list[str]:
    (folder / "image.tar").write_bytes(image(*contents))
    subprocess.run([sys.executable, SCRIPT, folder / "image.tar", folder / "sbom.json"], check=True, timeout=60)
    return [component["purl"] for component in json.loads((folder / "sbom.json").read_text())["components"]]


def test_packages_of_python_and_of_debian_are_listed(tmp_path: Path) -> None:
    base = {"./var/lib/dpkg/status": STATUS.encode(), "./usr/lib/os-release": b'ID=debian\nVERSION_ID="12"\n'}
    ours = {"opt/retrainer/share/sbom/retrainer.cdx.json": json.dumps(PYTHON).encode()}
    assert listed(tmp_path, base, ours) == [
        "pkg:pypi/click@8.1",
        "pkg:deb/debian/libssl3@3.0.22-1~deb12u2?arch=amd64&distro=debian-12&upstream=openssl",
        "pkg:deb/debian/zlib1g@1%3A1.2.13%2Bdfsg-1?arch=amd64&distro=debian-12&upstream=zlib1g",
    ]


def test_a_base_without_dpkg_adds_nothing(tmp_path: Path) -> None:
    ours = {"opt/retrainer/share/sbom/retrainer.cdx.json": json.dumps(PYTHON).encode()}
    assert listed(tmp_path, ours) == ["pkg:pypi/click@8.1"]


def test_of_several_platforms_each_has_its_list(tmp_path: Path) -> None:
    ours = {"opt/retrainer/share/sbom/retrainer.cdx.json": json.dumps(PYTHON).encode()}
    (tmp_path / "image.tar").write_bytes(image(ours, platforms=("amd64", "arm64")))
    subprocess.run([sys.executable, SCRIPT, tmp_path / "image.tar", tmp_path / "sbom.cdx.json"], check=True, timeout=60)
    assert sorted(path.name for path in tmp_path.glob("*.json")) == ["sbom-amd64.cdx.json", "sbom-arm64.cdx.json"]
    assert json.loads((tmp_path / "sbom-arm64.cdx.json").read_text()) == PYTHON
