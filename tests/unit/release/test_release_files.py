"""What is said about the files of a release, and archives whose bytes do not vary."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import tarfile
from typing import TYPE_CHECKING

import pytest

from deploy.release import statement
from deploy.release.builds import normalised

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def keys(tmp_path: Path) -> tuple[Path, Path]:
    key, public = tmp_path / "key.pem", tmp_path / "public.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", key], check=True, timeout=30)
    subprocess.run(["openssl", "pkey", "-in", key, "-pubout", "-out", public], check=True, timeout=30)
    return key, public


def verifies(data: bytes, signature: bytes, public: Path, folder: Path) -> bool:
    (folder / "data").write_bytes(data)
    (folder / "sig").write_bytes(signature)
    command = ["openssl", "pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", public]
    files = ["-sigfile", folder / "sig", "-in", folder / "data"]
    return subprocess.run([*command, *files], check=False, capture_output=True, timeout=30).returncode == 0


def test_the_statement_names_each_file_with_its_digest(tmp_path: Path) -> None:
    (tmp_path / "b").write_text("two")
    (tmp_path / "a").write_text("one")
    said = statement.statement(tmp_path.iterdir(), {"version": "1"}, [{"uri": "git", "digest": {"gitCommit": "c"}}])
    assert (said["_type"], said["predicateType"]) == (
        "https://in-toto.io/Statement/v1",
        "https://slsa.dev/provenance/v1",
    )
    one = "7692c3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed"
    assert said["subject"][0] == {"name": "a", "digest": {"sha256": one}}
    assert [subject["name"] for subject in said["subject"]] == ["a", "b"]
    assert said["predicate"]["runDetails"]["builder"]["id"] == "urn:retrainer:builder:none", "nobody vouches for it"


def test_an_envelope_is_signed_over_its_type_and_payload(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    key, public = keys
    sealed = statement.envelope({"a": 1}, key)
    payload, kind = base64.b64decode(sealed["payload"]), sealed["payloadType"]
    assert json.loads(payload) == {"a": 1}
    signature = base64.b64decode(sealed["signatures"][0]["sig"])
    signed = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    assert verifies(signed, signature, public, tmp_path)
    assert not verifies(signed.replace(b"1}", b"2}"), signature, public, tmp_path)
    assert statement.envelope({"a": 1}, key) == sealed, "the same again"


def test_an_archive_does_not_depend_on_when_by_whom_and_in_which_order_it_was_packed(tmp_path: Path) -> None:
    def packed(name: str, time: int, *files: str) -> Path:
        path = tmp_path / name
        with tarfile.open(path, "w:gz") as archive:
            for file in files:
                entry = tarfile.TarInfo(file)
                entry.size, entry.mtime, entry.uname, entry.uid = 1, time, f"user-{time}", time
                archive.addfile(entry, io.BytesIO(file[:1].encode()))
        return path

    one, two = packed("one.tgz", 5, "a", "b"), packed("two.tgz", 9, "b", "a")
    assert one.read_bytes() != two.read_bytes()
    assert normalised(one, 7) == normalised(two, 7)
    with tarfile.open(fileobj=io.BytesIO(normalised(one, 7))) as archive:
        assert [(e.name, e.mtime, e.uname, archive.extractfile(e).read()) for e in archive] == [  # type: ignore[union-attr]
            ("a", 7, "", b"a"),
            ("b", 7, "", b"b"),
        ]


def test_only_a_private_ed25519_key_signs(tmp_path: Path, keys: tuple[Path, Path]) -> None:
    key, public = keys
    other, locked = tmp_path / "rsa.pem", tmp_path / "locked.pem"
    subprocess.run(["openssl", "genpkey", "-quiet", "-algorithm", "rsa", "-out", other], check=True, timeout=60)
    secret = ["-aes256", "-passout", "pass:x"]
    subprocess.run(["openssl", "pkey", "-in", key, "-out", locked, *secret], check=True, timeout=30)
    accepted = [path for path in (key, public, other, locked, tmp_path / "none.pem") if statement.is_ed25519(path)]
    assert accepted == [key]
