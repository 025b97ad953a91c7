# ruff: noqa: INP001, T201 - a standalone script
"""Read the archive of an image: write its list of contents, and print its size.

An archive of several platforms gets a list for each: beside retrainer.cdx.json, retrainer-arm64.cdx.json.
The image has a list of its Python packages. The Debian packages of its base are added here, whatever the base is.
"""

from __future__ import annotations

import io
import json
import sys
import tarfile
from email.parser import Parser
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Iterator

SBOM = "opt/retrainer/share/sbom/retrainer.cdx.json"
PACKAGES = "var/lib/dpkg/status"
RELEASE = "usr/lib/os-release"


def read(archive: tarfile.TarFile, name: str) -> bytes:
    file = archive.extractfile(name)
    if file is None:
        sys.exit(f"{archive.name} holds no image: {name} is not in it; build it again")
    return file.read()


def manifests(archive: tarfile.TarFile, document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the manifest of each image in an OCI archive; an index may refer to another index."""
    if "layers" in document:
        yield document
    for one in document.get("manifests", []):
        yield from manifests(archive, json.loads(read(archive, blob(one["digest"]))))


def blob(digest: str) -> str:
    return f"blobs/{digest.replace(':', '/')}"


def debian(status: str, release: str) -> Iterator[dict[str, str]]:
    """Return the packages that dpkg has installed, as components of CycloneDX."""
    facts = dict(line.split("=", 1) for line in release.replace('"', "").splitlines() if "=" in line)
    distribution, version = facts.get("ID", "debian"), facts.get("VERSION_ID", "")
    for paragraph in status.split("\n\n"):
        package = Parser().parsestr(paragraph)
        if package["Status"] == "install ok installed":
            source = str(package["Source"] or package["Package"]).split()[0]
            where = f"arch={package['Architecture']}&distro={distribution}-{version}&upstream={quote(source, safe='')}"
            named = f"{quote(package['Package'], safe='')}@{quote(package['Version'], safe='')}"
            purl = f"pkg:deb/{distribution}/{named}?{where}"
            component = {"type": "library", "name": package["Package"], "version": package["Version"]}
            yield {**component, "purl": purl, "bom-ref": purl}


def contents(archive: tarfile.TarFile, manifest: dict[str, Any]) -> tuple[dict[str, bytes], int]:
    """Return the files that say what is in the image, and its size in bytes, unpacked."""
    unpacked = 0
    found = {SBOM: b"", PACKAGES: b"", RELEASE: b""}
    for layer in manifest["layers"]:
        with tarfile.open(fileobj=io.BytesIO(read(archive, blob(layer["digest"])))) as files:
            for entry in files:
                unpacked += entry.size
                name = entry.name.removeprefix("./")
                if name in found and (file := files.extractfile(entry)) is not None:
                    found[name] = file.read()
    return found, unpacked


def main(path: str, sbom: str) -> None:
    with tarfile.open(path) as archive:
        images = list(manifests(archive, json.loads(read(archive, "index.json"))))
        for manifest in images:
            found, unpacked = contents(archive, manifest)
            document = json.loads(found[SBOM])
            python = len(document["components"])
            document["components"] += debian(found[PACKAGES].decode(), found[RELEASE].decode())
            suffix = f"-{_architecture(archive, manifest)}" if len(images) > 1 else ""
            written = Path(sbom.replace(".cdx.json", f"{suffix}.cdx.json"))
            written.write_text(json.dumps(document, indent=2) + "\n")
            packed = sum(layer["size"] for layer in manifest["layers"])
            print(f"{path}: {packed / 1e6:.0f} MB packed, {unpacked / 1e6:.0f} MB unpacked")
            print(f"{written}: {python} packages of Python, {len(document['components']) - python} of the system")


def _architecture(archive: tarfile.TarFile, manifest: dict[str, Any]) -> str:
    return str(json.loads(read(archive, blob(manifest["config"]["digest"])))["architecture"])


if __name__ == "__main__":
    main(*sys.argv[1:])
