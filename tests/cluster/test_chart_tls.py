"""The chart serves TLS from a Secret: kubelet's probes, the API and its metrics."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import httpx

from tests.houses.certificates import Authority

from .conftest import kubectl
from .release import Release

if TYPE_CHECKING:
    import ssl
    from pathlib import Path

SECRET = "retrainer-tls"


class TlsRelease(Release):
    """Its clients trust one authority, and know the pod by the name in the certificate."""

    def __init__(self, namespace: str, trusted: ssl.SSLContext, name: str) -> None:
        super().__init__(namespace, tls={"existingSecret": SECRET})
        self._trusted, self._name = trusted, name

    def connect(self) -> None:
        super().connect()
        address = self._http.base_url.copy_with(scheme="https")
        headers = {"Authorization": self._http.headers["Authorization"], "Host": self._name}
        self._http.close()
        transport = httpx.HTTPTransport(verify=self._trusted)
        self._http = httpx.Client(base_url=address, headers=headers, transport=transport, trust_env=False, timeout=30.0)
        self._http.event_hooks["request"] = [lambda request: request.extensions.__setitem__("sni_hostname", self._name)]


def test_probes_api_and_metrics_are_served_over_tls_and_nothing_without_it(namespace: str, tmp_path: Path) -> None:
    name = f"retrainer.{namespace}.svc"
    authority = Authority(tmp_path / "authority")
    issued = authority.issue(tmp_path / "issued", f"DNS:{name}")
    files = [f"--from-file={file}={issued / file}" for file in ("tls.crt", "tls.key", "ca.crt")]
    kubectl("-n", namespace, "create", "secret", "generic", SECRET, *files)
    release = TlsRelease(namespace, authority.trusted(), name)
    release.install()  # returns once kubelet's probes have succeeded
    assert release.rules() == set()
    assert release.metric("retrainer_leader") == 1
    address = release.pod["status"]["podIP"], 8080
    with socket.create_connection(address, timeout=10) as plain:
        plain.sendall(b"GET /healthz HTTP/1.1\r\nHost: retrainer\r\n\r\n")
        assert plain.recv(100) == b""
    release.uninstall()
