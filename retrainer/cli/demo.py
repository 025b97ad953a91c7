"""`retrainer demo`: runs the real daemon on config/quickstart with sample customers, and reports what happens."""

from __future__ import annotations

import importlib.util
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click
import httpx
from rich.console import Console
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from ruamel.yaml import YAML

from retrainer.cli.demo_story import Story, soon_text
from retrainer.config.models import Rules
from retrainer.config.settings import Settings
from retrainer.util.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

QUICKSTART = Path(__file__).resolve().parents[2] / "config" / "quickstart"
INTERVAL = 1.0
"""Seconds between two files of customers."""
POLL = 0.5
"""Seconds between two requests to the daemon."""
READY_WITHIN = 30.0
ONCE_WITHIN = 90.0
"""Seconds within which a run must succeed with `--once`."""
_STOP_WITHIN = 30.0
_RULE = "churn"


@click.command()
@click.option("--once", is_flag=True, help="End after the first run: exit 0 if it succeeded within 90 s, 1 otherwise.")
def demo(once: bool) -> None:
    """Run a demonstration on this machine: data arrives, a rule decides, a model is trained.

    Example: retrainer demo --once
    """
    settings = _settings()
    base = f"http://{settings.http.host}:{settings.http.port}"
    state = (QUICKSTART / settings.store.path).resolve().parent
    signal.signal(signal.SIGTERM, _interrupted)
    console = Console(highlight=False)
    try:
        with (
            httpx.Client(base_url=base, timeout=5) as api,
            _producer(state / "landing"),  # first, so that a slot that is due at once finds data
            _daemon(api, state / "daemon.log") as process,
        ):
            code = _Show(console, api, base, process, once=once).play(state / "landing")
    except KeyboardInterrupt:
        code = 0
    console.print(
        f"[dim]Stopped. The state is kept in {state}; remove it to start from the beginning.[/]", soft_wrap=True
    )
    sys.exit(code)


def _settings() -> Settings:
    if not (QUICKSTART / "retrainer.yaml").exists():
        raise click.ClickException(
            f"there is no {QUICKSTART}: the demo is part of the repository, not of the installed package. "
            "Clone the repository and run `make demo` there."
        )
    if importlib.util.find_spec("sklearn") is None:
        raise click.ClickException(
            "the demo trains a real model with scikit-learn, which is not installed here: run `make setup` in the "
            "repository, or `pip install --group quickstart`."
        )
    text = (QUICKSTART / "retrainer.yaml").read_text(encoding="utf-8")
    return Settings.model_validate(YAML(typ="safe", pure=True).load(text))


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _daemon(api: httpx.Client, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon until ready, in its own process group: Ctrl-C reaches only the demo, which then stops it."""
    if _answers(api) is not None:
        raise click.ClickException(f"another process listens on {api.base_url} (another demo?): stop it first")
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "retrainer.cli.main", "run", "-c", str(QUICKSTART / "retrainer.yaml")]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, process_group=0)  # noqa: S603
    try:
        _await_ready(api, process, log)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(_STOP_WITHIN)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _await_ready(api: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + READY_WITHIN
    while _answers(api) != httpx.codes.OK:
        if process.poll() is not None or time.monotonic() > until:
            how = (
                f"ended with {process.poll()}" if process.poll() is not None else f"is not ready in {READY_WITHIN:g} s"
            )
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-15:])
            raise click.ClickException(f"the daemon {how}; its log, {log}, ends with\n{tail}")
        time.sleep(0.1)


def _answers(api: httpx.Client) -> int | None:
    try:
        return api.get("/readyz").status_code
    except httpx.HTTPError:
        return None


@contextmanager
def _producer(landing: Path) -> Iterator[None]:
    """Write files of customers periodically, with the quickstart's generator."""
    spec = importlib.util.spec_from_file_location("retrainer_quickstart_generate", QUICKSTART / "generate.py")
    assert spec is not None  # noqa: S101 - a path that ends in .py always has one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stop = threading.Event()
    thread = threading.Thread(target=module.produce, args=(landing, stop, INTERVAL), name="producer", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _Show:
    def __init__(
        self, console: Console, api: httpx.Client, base: str, process: subprocess.Popen[bytes], *, once: bool
    ) -> None:
        self._console = console
        self._api = api
        self._base = base
        self._process = process
        self._once = once
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self._story = Story(_needed_rows())

    def play(self, landing: Path) -> int:
        """Report until interrupted, or with `--once` until the first run ends. Return the exit code."""
        self._story.begin(*self._lists())
        self._introduce(landing)
        live = Live(console=self._console, transient=True) if self._console.is_terminal else nullcontext()
        with live as shown:
            while (code := self._verdict()) is None:
                for line in self._news():
                    self._console.print(f"[dim]{self._elapsed():6.1f}s[/]  {line}", soft_wrap=True)
                if shown is not None:
                    shown.update(self._progress())
                time.sleep(POLL)
        return code

    def _introduce(self, landing: Path) -> None:
        curl = f"curl -H 'content-type: application/json' -d '{{\"asked_by\": \"me\"}}' {self._base}/hooks/data"
        rows = f"{self._story.needed:,} rows"
        for line in (
            f"[bold]retrainer[/] runs on [cyan]{self._base}[/] with the rules of {QUICKSTART / 'rules'}",
            f"Each second a file of labelled customers is written to {landing}",
            f"After {rows}, or every two minutes, the churn model is retrained.",
            f"Request a manual run:  [bold]{curl}[/]",
            "[dim]Ctrl-C stops the demonstration.[/]",
            "",
        ):
            self._console.print(line, soft_wrap=True)

    def _news(self) -> list[str]:
        told = self._story
        try:
            told.explained(self._asked("POST", f"rules/{_RULE}/explain"))
            events, decisions, runs = self._lists()
        except httpx.HTTPError:
            return []  # retried in half a second; the end of the daemon is detected by its process
        return [*told.events(events), *told.decisions(decisions), *told.runs(runs)]

    def _lists(self) -> list[list[Any]]:
        return [self._asked("GET", f"{name}?limit=200")["items"] for name in ("events", "decisions", "runs")]

    def _asked(self, method: str, path: str) -> Any:
        answer = self._api.request(method, f"/api/v1/{path}", json={} if method == "POST" else None)
        answer.raise_for_status()
        return answer.json()

    def _verdict(self) -> int | None:
        if self._process.poll() is not None:
            raise click.ClickException(f"the daemon ended with {self._process.returncode}; see its log")
        if not self._once:
            return None
        if self._story.ended is not None:
            return 0 if self._story.ended["phase"] == "SUCCEEDED" else 1
        if self._elapsed() > ONCE_WITHIN:
            self._console.print(f"No run ended within {ONCE_WITHIN:g} s: {self._story.last_verdict}", soft_wrap=True)
            return 1
        return None

    def _progress(self) -> Table:
        rows, needed = self._story.rows, self._story.needed
        line = Table.grid(padding=(0, 1))
        line.add_row(
            ProgressBar(needed, min(rows, needed), width=30),
            f"{rows:,} of {needed:,} rows",
            f"[dim]{soon_text(self._story.earliest, self._clock.now())}[/]",
        )
        return line

    def _elapsed(self) -> float:
        return self._clock.monotonic() - self._began


def _needed_rows() -> int:
    text = (QUICKSTART / "rules" / "churn.yaml").read_text(encoding="utf-8")
    rules = Rules.model_validate(YAML(typ="safe", pure=True).load(text))
    batches = [
        trigger.data.batch.at_least for rule in rules.rules for trigger in rule.triggers.values() if trigger.data
    ]
    return next((enough.rows for enough in batches if enough is not None and enough.rows is not None), 0)
