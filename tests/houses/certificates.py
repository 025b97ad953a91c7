"""Certificates as an authority of an organisation issues them, made by openssl."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes")


def openssl(*arguments: str | Path) -> None:
    done = subprocess.run(["openssl", *map(str, arguments)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


class Authority:
    """Issues certificates into folders, as ``tls.crt``, ``tls.key`` and ``ca.crt``: the names of cert-manager."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.certificate, self._key = folder / "ca.crt", folder / "ca.key"
        openssl(
            "req", "-x509", *KEY, "-keyout", self._key, "-out", self.certificate, "-days", "30", "-subj", "/CN=test"
        )

    def issue(self, folder: Path, names: str = "DNS:retrainer.test,IP:127.0.0.1", days: int = 10) -> Path:
        folder.mkdir()
        request, extensions = folder / "request", folder / "extensions"
        extensions.write_text(f"subjectAltName={names}\nextendedKeyUsage=serverAuth,clientAuth\n")
        openssl("req", *KEY, "-keyout", folder / "tls.key", "-out", request, "-subj", "/CN=retrainer")
        openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key, "-CAcreateserial"),
            *("-days", str(days), "-extfile", extensions, "-out", folder / "tls.crt"),
        )
        shutil.copy(self.certificate, folder / "ca.crt")
        return folder

    def trusted(self, shown: Path | None = None) -> ssl.SSLContext:
        """The context of a client that trusts this authority, and presents the certificate of the folder ``shown``."""
        return self.trusting(self.certificate.parent, shown)

    @staticmethod
    def trusting(authority: Path, shown: Path | None = None) -> ssl.SSLContext:
        """The same for the folder of an authority."""
        context = ssl.create_default_context(cafile=str(authority / "ca.crt"))
        if shown is not None:
            context.load_cert_chain(shown / "tls.crt", shown / "tls.key")
        return context


class Mount:
    """A folder as kubelet mounts a Secret: its files are links through ``..data``, which is swapped atomically."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        self._version = 0

    def show(self, issued: Path) -> None:
        self._version += 1
        shutil.copytree(issued, self.folder / f"..{self._version}")
        (self.folder / "..next").symlink_to(f"..{self._version}")
        (self.folder / "..next").rename(self.folder / "..data")
        for name in ("tls.crt", "tls.key", "ca.crt"):
            if not (self.folder / name).is_symlink():
                (self.folder / name).symlink_to(f"..data/{name}")
