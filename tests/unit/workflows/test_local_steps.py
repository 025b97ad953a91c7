"""Misbehaving steps: their use of resources is bounded, and their processes end with them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from structlog.testing import capture_logs

from retrainer.config.settings import LocalEngine as Settings
from retrainer.workflows.base import Observed
from retrainer.workflows.local import run_folder
from retrainer.workflows.local.engine import LocalEngine
from retrainer.workflows.local.isolation import KEPT
from retrainer.workflows.local.log import LOG_LIMIT
from retrainer.workflows.local.outputs import OUTPUT_LIMIT
from retrainer.workflows.local.removal import remove
from retrainer.workflows.local.step_supervisor import KILL, Command, Result, result, supervise
from tests.unit.workflows.local_kit import SHELL, ended, engine_at, is_alive, workflow
from tests.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

linux = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="what leaves its group is found through /proc")

STRAYS = [
    pytest.param("sleep 600 & echo $! >> {pids}", id="in-the-background"),
    pytest.param("setsid sh -c 'echo $$ >> {pids}; exec sleep 600' &", id="in-a-session-of-its-own"),
    pytest.param("setsid sh -c 'setsid sh -c \"echo \\$\\$ >> {pids}; exec sleep 600\" &' &", id="twice-removed"),
    pytest.param("setsid env -i sh -c 'echo $$ >> {pids}; exec sleep 600' &", id="without-an-environment"),
    pytest.param(
        "(trap '' HUP TERM; echo $(exec sh -c 'echo $PPID') >> {pids}; exec sleep 600) &", id="deaf-to-signals"
    ),
    pytest.param(
        "while :; do (echo $(exec sh -c 'echo $PPID') > {pids}; sleep 0.01) & wait; done &", id="again-and-again"
    ),
]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "all.yaml").write_text(SHELL)
    return tmp_path


@pytest.fixture
def watched(home: Path) -> Iterator[LocalEngine]:
    engine, stop = engine_at(home), threading.Event()
    thread = threading.Thread(target=engine.watch, args=(list[Observed]().append, stop))
    thread.start()
    yield engine
    stop.set()
    thread.join()


def gone(pids: Path) -> None:
    for pid in pids.read_text().split():
        until(lambda: not is_alive(int(pid)), f"{pid} is gone")  # noqa: B023


@linux
@pytest.mark.parametrize("code", STRAYS)
def test_what_a_step_leaves_ends_with_it(home: Path, code: str) -> None:
    engine, pids = engine_at(home), home / "pids"
    engine.create(workflow(f"{code.format(pids=pids)}\nwhile [ ! -s {pids} ]; do sleep 0.02; done"), timeout=5)
    assert ended(engine).phase == "Succeeded"
    gone(pids)


@linux
@pytest.mark.parametrize("code", STRAYS)
def test_what_a_step_started_ends_when_it_is_stopped(home: Path, code: str) -> None:
    engine, pids = engine_at(home), home / "pids"
    engine.create(workflow(f"{code.format(pids=pids)}\nwhile :; do sleep 0.1; done"), timeout=5)
    until(lambda: pids.exists() and pids.read_text(), "it has started something")
    engine.stop("ml", "w1", "Terminate")
    assert ended(engine).stopped
    gone(pids)


@linux
@pytest.mark.parametrize("code", STRAYS)
def test_what_a_step_started_ends_when_the_runner_is_killed(home: Path, code: str) -> None:
    engine, pids = engine_at(home), home / "pids"
    engine.create(workflow(f"{code.format(pids=pids)}\nwhile :; do sleep 0.1; done"), timeout=5)
    until(lambda: pids.exists() and pids.read_text(), "it has started something")
    os.kill(json.loads((home / "runs/ml/w1/started.json").read_text())["pid"], signal.SIGKILL)
    assert "died before it recorded the result" in ended(engine).message
    gone(pids)


@linux
def test_a_step_that_kills_its_supervisor_is_an_error_and_leaves_nothing(home: Path) -> None:
    engine, pids = engine_at(home), home / "pids"
    engine.create(workflow(f"setsid sleep 600 & echo $! $$ > {pids}; kill -9 $PPID; sleep 600"), timeout=5)
    end = ended(engine)
    assert (end.phase, end.message) == ("Error", "main: its supervisor process was killed")
    gone(pids)


PARENT = "$(awk '/PPid/{print $2}' /proc/$PPID/status)"


@linux
@pytest.mark.parametrize(
    "frozen", [pytest.param(PARENT, id="its-runner"), pytest.param(f"{PARENT} $PPID", id="and-its-supervisor")]
)
def test_a_step_that_freezes_those_above_it_ends_when_it_is_stopped(
    home: Path, frozen: str, watched: LocalEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_folder, "OVERDUE", 0.5)
    pids = home / "pids"
    stray = f"setsid env -i sh -c 'echo $$ >> {pids}; exec sleep 600' &"
    watched.create(workflow(f"{stray}\nkill -STOP {frozen}; echo $$ >> {pids}; sleep 600"), timeout=5)
    until(lambda: pids.exists() and len(pids.read_text().split()) == 2, "both run")
    watched.stop("ml", "w1", "Terminate")
    end = ended(watched)
    assert (end.phase, end.stopped) == ("Failed", True)
    assert end.message.startswith("Stopped with strategy 'Terminate'; the runner ")
    gone(pids)


BAD_OUTPUTS = [
    pytest.param("mkfifo $O", "is a FIFO, not a regular file", id="fifo"),
    pytest.param("mkdir $O", "is a folder, not a regular file", id="folder"),
    pytest.param("ln -s /dev/zero $O", "leads out of the step's own files", id="device-behind-a-link"),
    pytest.param("ln -s /etc/hostname $O", "leads out of the step's own files", id="file-behind-a-link"),
    pytest.param("ln -s /etc $TMPDIR/d; ln -s ../d/hostname $O", "leads out", id="two-links"),
    pytest.param("ln -s said $O", "is a link, not a regular file", id="link-to-itself"),
    pytest.param("python3 -c \"import socket; socket.socket(1).bind('$O')\"", "is a socket", id="socket"),
    pytest.param(f"head -c {OUTPUT_LIMIT + 1} /dev/zero | tr '\\0' x > $O", "is larger than 262,144", id="too-large"),
    pytest.param("truncate -s 1T $O", "is larger than 262,144 bytes: store large results elsewhere", id="endless"),
    pytest.param("printf 'ab\\377' > $O", "is not UTF-8 text: byte 2 is 0xff", id="not-utf-8"),
    pytest.param("printf 'a\\0b' > $O", "is not text: character 1 is a NUL", id="nul"),
]


@pytest.mark.parametrize(("code", "message"), BAD_OUTPUTS)
def test_an_output_that_cannot_be_one_ends_the_run_with_the_reason(home: Path, code: str, message: str) -> None:
    engine = engine_at(home)
    engine.create(workflow(f"mkdir $TMPDIR/out; cd $TMPDIR/out; O=said; {code}"), timeout=5)
    end = ended(engine)
    assert end.message.startswith("main: an output parameter cannot be read: said: ")
    assert end.phase == "Error"
    assert message in end.message


def test_the_largest_output(home: Path) -> None:
    engine = engine_at(home)
    code = f"mkdir $TMPDIR/out; head -c {OUTPUT_LIMIT} /dev/zero | tr '\\0' x > $TMPDIR/out/said"
    engine.create(workflow(code), timeout=5)
    assert ended(engine).outputs == {"said": "x" * OUTPUT_LIMIT}


def test_a_log_is_bounded_and_keeps_the_newest(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow(f"head -c {5 * LOG_LIMIT} /dev/zero | tr '\\0' x; echo; echo the end; exit 3"), timeout=5)
    end = ended(engine)
    assert (end.phase, end.message) == ("Failed", "main: exit code 3: the end")
    sizes = {path.name: path.stat().st_size for path in (home / "runs/ml/w1/tasks/main").glob("log*")}
    assert set(sizes) == {"log", "log.1"}
    assert max(sizes.values()) <= LOG_LIMIT


def test_last_words_are_short_and_printable(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow(r"printf '%2000d\033[2J\0\n' 7; exit 1"), timeout=5)
    said = ended(engine).message.removeprefix("main: exit code 1: ")
    assert said.endswith("7\ufffd[2J\ufffd")
    assert len(said) <= 1000


@pytest.mark.parametrize(
    ("code", "message"),
    [
        pytest.param("mkdir exit.json started.json progress stop; touch exit.json/x", "", id="folders"),
        pytest.param("rm started.json; mkfifo exit.json started.json progress stop", "", id="fifos"),
        pytest.param("echo [ > exit.json", "", id="no-json"),
        pytest.param(
            "mkfifo exit.json; kill -9 $(sed 's/[^0-9]*\\([0-9]*\\).*/\\1/' started.json)", "is a FIFO", id="fifo-alone"
        ),
        pytest.param(
            "echo '{\"phase\": 1}' > exit.json; kill -9 $(sed 's/[^0-9]*\\([0-9]*\\).*/\\1/' started.json)",
            "names no phase",
            id="no-phase",
        ),
        pytest.param("rm lock; mkfifo lock", "", id="lock"),
    ],
)
def test_marks_that_a_step_makes_hang_nobody(home: Path, code: str, message: str) -> None:
    engine = engine_at(home)
    engine.create(workflow(f"cd $RETRAINER_LOCAL_RUN; {code}; true"), timeout=5)
    end = ended(engine)
    assert message in end.message


def test_what_a_step_has_of_the_environment_of_the_daemon(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEPT, "HOOK_TOKEN", "RETRAINER_TOKEN", "PYTHONPATH"):
        monkeypatch.setenv(name, os.environ.get(name, "C.UTF-8" if name.startswith("L") else "x"))
    engine = engine_at(home)
    engine.create(workflow("mkdir $TMPDIR/out; env | cut -d= -f1 > $TMPDIR/out/said"), timeout=5)
    of_the_shell = {"PWD", "OLDPWD", "SHLVL", "_"}
    seen = set((ended(engine).outputs or {})["said"].split()) - of_the_shell
    assert seen == {*KEPT, "PATH", "TMPDIR", run_folder.FOLDER_VARIABLE}


def test_the_secrets_of_the_daemon_are_not_in_reach_of_a_step(home: Path) -> None:
    daemon = f"""
import json, sys
from retrainer.config.settings import LocalEngine as Settings
from retrainer.workflows.local.engine import LocalEngine
settings = Settings(type="local", templates={str(home / "templates")!r}, runs={str(home / "runs")!r})
LocalEngine(settings, "here").create(json.load(sys.stdin), timeout=5)
print("created", flush=True)
sys.stdin = open({str(home / "end")!r})
"""
    os.mkfifo(home / "end")
    peek = "cat /proc/*/environ /proc/*/task/*/environ | tr '\\0' '\\n' > $TMPDIR/all"
    code = f"mkdir $TMPDIR/out; {peek}; grep -c CANARY $TMPDIR/all > $TMPDIR/out/said; true"
    with subprocess.Popen(
        [sys.executable, "-c", daemon],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "HOOK_TOKEN": "CANARY"},
    ) as process:
        assert process.stdin is not None
        process.stdin.write(json.dumps(workflow(code)).encode())
        process.stdin.close()
        end = ended(engine_at(home))
        (home / "end").write_text("")
    assert end.outputs == {"said": "0"}


@pytest.mark.parametrize(
    ("isolate", "lines"), [pytest.param(True, 0, id="isolated"), pytest.param(False, 1, id="not-isolated")]
)
def test_what_a_step_can_see_is_said_once_at_the_start(home: Path, isolate: bool, lines: int) -> None:
    settings = Settings(type="local", templates=str(home / "templates"), runs=str(home / "runs"), isolate_steps=isolate)
    stop = threading.Event()
    with capture_logs() as said:
        thread = threading.Thread(target=LocalEngine(settings, "here").watch, args=(lambda _: stop.set(), stop))
        thread.start()
        engine_at(home).create(workflow(), timeout=5)
        thread.join()
    found = [line for line in said if line.get("reason") == "engine.isolate_steps is off"]
    assert [line["event"] for line in found] == ["local.steps_not_isolated"] * lines
    assert all("environment" in line["can_read"] for line in found)


def test_a_parameter_cannot_lead_an_output_elsewhere(home: Path) -> None:
    (home / "secret").write_text("CANARY")
    template = {
        "name": "main",
        "inputs": {"parameters": [{"name": "p"}]},
        "container": {"command": ["true"]},
        "outputs": {"parameters": [{"name": "o", "valueFrom": {"path": "/tmp/{{inputs.parameters.p}}"}}]},
    }
    arguments = {"parameters": [{"name": "p", "value": "../../../../../../secret"}]}
    spec = {"entrypoint": "main", "arguments": arguments, "templates": [template]}
    engine = engine_at(home)
    engine.create(workflow() | {"spec": spec}, timeout=5)
    end = ended(engine)
    assert (end.phase, end.outputs) == ("Error", {})
    assert end.message.endswith("secret' must not contain `..`")


def test_a_parameter_has_the_line_ends_of_a_script(home: Path) -> None:
    engine = engine_at(home)
    engine.create(workflow("mkdir $TMPDIR/out\r\nprintf 'a\rb' > $TMPDIR/out/said\r\n"), timeout=5)
    assert ended(engine).outputs == {"said": "a\rb"}


@pytest.mark.parametrize("value", [pytest.param("a\0b", id="nul"), pytest.param("x" * 200_000, id="too-long")])
def test_a_parameter_that_no_program_takes_is_an_error(home: Path, value: str) -> None:
    engine = engine_at(home)
    engine.create(workflow(value), timeout=5)
    end = ended(engine)
    assert end.phase == "Error"
    assert end.message.startswith("main: could not be started: ")


def test_any_tree_is_removed(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "kept").touch()
    top = tmp_path / "top"
    top.mkdir()
    (top / "link").symlink_to(outside)
    (top / "closed").mkdir(mode=0)
    at = os.open(top, os.O_RDONLY)
    for _ in range(3000):  # deeper than the length limit of paths, and than Python's recursion limit
        os.mkdir("deep", dir_fd=at)
        below = os.open("deep", os.O_RDONLY, dir_fd=at)
        os.close(at)
        at = below
    os.close(at)
    assert remove(top)
    assert not top.exists()
    assert (outside / "kept").exists()
    assert remove(outside / "kept")
    assert not remove(Path("/proc/self/stat"))


@linux
def test_a_supervisor_ends_however_much_it_has_to_kill(tmp_path: Path) -> None:
    code = "while :; do (sleep 0.01) & (sleep 0.02; :) & wait; done"
    for number in range(30):  # a process killed during the search may end in any order
        folder = tmp_path / f"{number}"
        folder.mkdir()
        process, orders, report = supervise(Command(["sh", "-c", code], dict(os.environ), "/", folder))
        os.write(orders, KILL)
        until(lambda: os.waitpid(process, os.WNOHANG)[0], "it ends")  # noqa: B023
        assert result(os.read(report, 1000)) == Result(code=-signal.SIGKILL)
        os.close(orders)
        os.close(report)
