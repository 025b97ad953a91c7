"""`retrainer demo`: runs the real daemon on the quickstart with sample customers, and reports what happens."""

from __future__ import annotations

import importlib.util
import shlex
import shutil
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

from retrainer.cli.demo_story import Story, soon_text
from retrainer.config.errors import ConfigErrors
from retrainer.config.load import load_files, load_settings
from retrainer.util.clock import SystemClock

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from retrainer.config.settings import Settings

QUICKSTART = Path(__file__).with_name("quickstart")
"""The files of the demo, as they are written into its folder."""
INTERVAL = 1.0
"""Seconds between two files of customers."""
POLL = 0.5
"""Seconds between two requests to the daemon."""
READY_WITHIN = 120.0
"""Seconds for the start: after an installation, Python has to compile everything first."""
ONCE_WITHIN = 90.0
"""Seconds within which a run must succeed with `--once`."""
_STOP_WITHIN = 30.0
_RULE = "churn"


@click.command()
@click.option("--once", is_flag=True, help="End after the first run: exit 0 if it succeeded within 90 s, 1 otherwise.")
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=".demo",
    show_default=True,
    help="Folder for the rule, the data and the models. It is created if it does not exist.",
)
def demo(once: bool, folder: Path) -> None:
    """Run a demonstration on this machine: data arrives, a rule decides, a model is trained.

    It needs no network and no other package. Its files are copied into the folder; those that exist are kept, so you
    can edit them.

    Example: retrainer demo --once
    """
    state = folder.resolve()
    _write(state)
    settings, needed = _read(state)
    base = f"http://{settings.http.host}:{settings.http.port}"
    signal.signal(signal.SIGTERM, _interrupted)
    console = Console(highlight=False)
    try:
        with (
            httpx.Client(base_url=base, timeout=5) as api,
            _producer(state),  # first, so that a slot that is due at once finds data
            _daemon(api, state / "daemon.log") as process,
        ):
            code = _Show(console, api, process, state, needed, once=once).play()
    except KeyboardInterrupt:
        code = 0
    console.print(
        f"[dim]Stopped. The state is kept in {state}; remove it to start from the beginning.[/]", soft_wrap=True
    )
    sys.exit(code)


def _write(state: Path) -> None:
    """Write the files of the demo that ``state`` lacks."""
    try:
        for path in QUICKSTART.rglob("*.*"):
            if path.suffix in (".py", ".yaml") and not (to := state / path.relative_to(QUICKSTART)).exists():
                to.parent.mkdir(parents=True, exist_ok=True)
                to.write_bytes(path.read_bytes())
    except OSError as error:
        raise click.ClickException(
            f"{error.filename}: {error.strerror}; name a writable folder: `retrainer demo --folder /tmp/demo`"
        ) from None


def _read(state: Path) -> tuple[Settings, int]:
    """Return the settings, and the rows that make the rule fire. Somebody may have edited the files."""
    try:
        settings = load_settings(str(state / "retrainer.yaml"))
    except ConfigErrors as errors:
        raise _invalid(state, errors) from None
    rules, problems = load_files(settings.rules)
    if problems:
        raise _invalid(state, ConfigErrors(problems))
    triggers = [trigger.data for rule in rules.rules for trigger in rule.triggers.values() if trigger.data]
    enough = [data.batch.at_least.rows for data in triggers if data.batch.at_least]
    return settings, next((rows for rows in enough if rows is not None), 0)


def _invalid(state: Path, errors: ConfigErrors) -> click.ClickException:
    return click.ClickException(f"{state} has a file that is not valid: mend it, or remove it\n\n{errors}")


def _interrupted(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@contextmanager
def _daemon(api: httpx.Client, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run the daemon until ready, in its own process group: Ctrl-C reaches only the demo, which then stops it."""
    if _answers(api) is not None:
        raise click.ClickException(
            f"another process listens on {api.base_url} (another demo?): stop it first, or change "
            f"`http.port` in {log.with_name('retrainer.yaml')}"
        )
    log.parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-P", "-m", "retrainer.cli.main", "run", "-c", str(log.with_name("retrainer.yaml"))]
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
def _producer(state: Path) -> Iterator[None]:
    """Write files of customers periodically, with the quickstart's generator."""
    spec = importlib.util.spec_from_file_location("retrainer_quickstart_generate", state / "generate.py")
    assert spec is not None  # noqa: S101 - a path that ends in .py always has one
    assert spec.loader is not None  # noqa: S101
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    stop = threading.Event()
    thread = threading.Thread(
        target=module.produce, args=(state / "landing", stop, INTERVAL), name="producer", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


class _Show:
    def __init__(
        self,
        console: Console,
        api: httpx.Client,
        process: subprocess.Popen[bytes],
        state: Path,
        needed: int,
        *,
        once: bool,
    ) -> None:
        self._console = console
        self._api = api
        self._state = state
        self._process = process
        self._once = once
        self._clock = SystemClock()
        self._began = self._clock.monotonic()
        self._story = Story(needed)

    def play(self) -> int:
        """Report until interrupted, or with `--once` until the first run ends. Return the exit code."""
        self._story.begin(*self._lists())
        self._introduce()
        live = Live(console=self._console, transient=True) if self._console.is_terminal else nullcontext()
        with live as shown:
            while (code := self._verdict()) is None:
                for line in self._news():
                    self._console.print(f"[dim]{self._elapsed():6.1f}s[/]  {line}", soft_wrap=True)
                if shown is not None:
                    shown.update(self._progress())
                time.sleep(POLL)
        return code

    def _introduce(self) -> None:
        base, state = f"{self._api.base_url}".rstrip("/"), self._state
        curl = f"curl -H 'content-type: application/json' -d '{{\"asked_by\": \"me\"}}' {base}/hooks/data"
        rows = f"{self._story.needed:,} rows"
        for line in (
            f"[bold]retrainer[/] runs on [cyan]{base}[/] with the rules of {state / 'rules'}, which you can edit",
            f"Each second a file of labelled customers is written to {state / 'landing'}",
            f"After {rows}, or every two minutes, the churn model is retrained.",
            f"See why, as it fills:  [bold]{base}/ui/rules/{_RULE}[/]",
            f"Request a manual run:  [bold]{curl}[/]",
            f"Ask why it waits:      [bold]{_command()} explain {_RULE} --url {base}[/]",
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


def _command() -> str:
    """Return how this command is called: its name if that is found, else its path."""
    called = Path(sys.argv[0]).resolve()
    found = shutil.which(called.name)
    return called.name if found and Path(found).resolve() == called else shlex.quote(str(called))
