"""The description of the files of a release: in-toto's Statement v1 with the predicate of SLSA provenance v1.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance.
It has no time and no number of a build, so that the same build says the same.
"""

from __future__ import annotations

import base64
import hashlib
import json
import subprocess
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

PAYLOAD = "application/vnd.in-toto+json"
BUILD_TYPE = "urn:retrainer:make-release:v1"
"""`make release`, as CONTRIBUTING.md describes it."""
BUILDER = "urn:retrainer:builder:none"
"""Nobody vouches for the machine, unless the one who builds names it."""


def digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def statement(
    files: Iterable[Path], parameters: Mapping[str, Any], materials: list[dict[str, Any]], builder: str = BUILDER
) -> dict[str, Any]:
    """Return the statement that these files were built with ``parameters`` from ``materials``."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": path.name, "digest": {"sha256": digest(path)}} for path in sorted(files)],
        "predicateType": "https://slsa.dev/provenance/v1",
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": dict(parameters),
                "resolvedDependencies": materials,
            },
            "runDetails": {"builder": {"id": builder}},
        },
    }


def envelope(content: Mapping[str, Any], key: Path) -> dict[str, Any]:
    """Return the statement in a DSSE envelope, signed with an Ed25519 key (PEM), whose signatures do not vary.

    https://github.com/secure-systems-lab/dsse/blob/master/protocol.md
    """
    payload = json.dumps(content, sort_keys=True).encode()
    signed = signature(b"DSSEv1 %d %s %d %s" % (len(PAYLOAD), PAYLOAD.encode(), len(payload), payload), key)
    encoded = base64.b64encode(payload).decode()
    return {"payload": encoded, "payloadType": PAYLOAD, "signatures": [{"sig": base64.b64encode(signed).decode()}]}


def signature(data: bytes, key: Path) -> bytes:
    """Return the signature. Raise CalledProcessError if openssl cannot sign with this key."""
    with NamedTemporaryFile() as file:  # openssl has to know its size
        file.write(data)
        file.flush()
        command = ["openssl", "pkeyutl", "-sign", "-rawin", "-inkey", str(key), "-in", file.name]
        return subprocess.run(command, check=True, capture_output=True, timeout=30).stdout  # noqa: S603 - openssl


def is_ed25519(key: Path) -> bool:
    """Whether the file holds a private Ed25519 key without a password: no other kind signs the same way twice."""
    command = ["openssl", "pkey", "-in", str(key), "-noout", "-text", "-passin", "pass:"]
    shown = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30).stdout  # noqa: S603 - openssl
    return shown.startswith("ED25519 Private-Key")
