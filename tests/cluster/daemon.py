"""The daemon as users run it: a separate process with settings, rules and store in a folder."""

from __future__ import annotations

import contextlib
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import httpx

from tests.houses.daemon import DaemonProcess, free_port

from .conftest import CLUSTER, KUBECONFIG

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


class Daemon(DaemonProcess):
    """A daemon that submits to the test cluster."""

    def __init__(self, folder: Path, namespace: str, rules: str, *, name: str = "retrainer") -> None:
        self.name = name
        settings = {
            "version": 1,
            "name": name,
            "rules": ["rules.yaml"],
            "engine": {"type": "argo", "namespaces": [namespace], "kubeconfig": str(KUBECONFIG)},
            "http": {"port": free_port()},
        }
        super().__init__(folder, settings)
        (folder / "rules.yaml").write_text(rules)

    def get(self, path: str, **query: Any) -> Any:
        answer = self.http.get(f"/api/v1{path}", params=query)
        assert answer.is_success, answer.text
        return answer.json()

    def post(self, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Any:
        answer = self.http.post(path, json=body or {}, headers=headers)
        assert answer.is_success, answer.text
        return answer.json()

    def runs(self, rule: str) -> list[dict[str, Any]]:
        """All runs of a rule, over all pages."""
        found: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.get("/runs", rule=rule, limit=200, **cursor)
            found += page["items"]
            if page["next"] is None:
                return found
            cursor = {"cursor": page["next"]}


def send(daemon: Daemon, path: str, number: int, on_acknowledged: Callable[[], None]) -> None:
    """Send one event until it is acknowledged, always with the same idempotency key."""
    pause = threading.Event()
    for _ in range(600):
        try:
            answer = daemon.http.post(path, json={"number": number}, headers={"Idempotency-Key": f"event-{number}"})
        except httpx.TransportError:
            pass
        else:
            if answer.status_code == 202:
                on_acknowledged()
                return
            assert answer.status_code == 503, answer.text
        pause.wait(0.1)
    raise AssertionError(f"event {number} was never acknowledged")


@contextlib.contextmanager
def sending(
    daemon: Daemon, path: str, events: int, *, hands: int = 5, on_acknowledged: Callable[[], None] = lambda: None
) -> Iterator[None]:
    """Send events 0, 1, ... in the background, and wait for the last acknowledgement at the end."""
    pool = ThreadPoolExecutor(hands, thread_name_prefix="sender")
    sent = [pool.submit(send, daemon, path, number, on_acknowledged) for number in range(events)]
    try:
        yield
        for each in sent:
            each.result()
    finally:
        pool.shutdown(cancel_futures=True)


class Judge:
    """An independent watch in a separate process: it records the Workflows that existed."""

    LINE = r'{.type} {.object.metadata.uid} {.object.metadata.annotations.retrainer\.dev/run}{"\n"}'

    def __init__(self, namespace: str, instance: str) -> None:
        command = [
            str(CLUSTER / "bin" / "kubectl"),
            f"--kubeconfig={KUBECONFIG}",
            f"--namespace={namespace}",
            "get",
            "workflows.argoproj.io",
            f"--selector=retrainer.dev/instance={instance}",
            "--watch",
            "--output-watch-events",
            f"--output=jsonpath={self.LINE}",
        ]
        self._added: dict[str, set[str]] = {}
        self._lock = threading.Lock()
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, name="judge")
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            kind, uid, run = line.split()
            if kind == "ADDED":
                with self._lock:
                    self._added.setdefault(run, set()).add(uid)

    @property
    def workflows(self) -> int:
        with self._lock:
            return sum(len(uids) for uids in self._added.values())

    @property
    def runs(self) -> dict[str, set[str]]:
        """Uids of the Workflows that were seen for each run."""
        with self._lock:
            return {run: set(uids) for run, uids in self._added.items()}

    def close(self) -> None:
        assert self._process.poll() is None, "the watch ended, so nothing can be said"
        self._process.terminate()
        self._process.wait(10)
        self._reader.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
