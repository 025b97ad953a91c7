"""The detached process that executes one local run: `python -m retrainer.workflows.local.runner FOLDER`.

It executes the graph of the run, and records how the run ended. It works without the daemon, which may stop and restart
meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.util.clock import Clock, SystemClock
from retrainer.workflows.local import file_view
from retrainer.workflows.local.graph import Graph
from retrainer.workflows.local.isolation import adopt_orphans, confine
from retrainer.workflows.local.known_tags import some
from retrainer.workflows.local.log import printable
from retrainer.workflows.local.node import Ended
from retrainer.workflows.local.nodes import Nodes
from retrainer.workflows.local.place import Surroundings
from retrainer.workflows.local.pods import Pods
from retrainer.workflows.local.run_folder import finish, locked, read, write
from retrainer.workflows.local.step_files import Machine
from retrainer.workflows.local.template import NO_EFFECT
from retrainer.workflows.local.volumes import claims

if TYPE_CHECKING:
    from collections.abc import Mapping

_MEMORY_UNIT = 100 * 1024**2  # Argo counts memory in units of 100 MiB times seconds


NODES_EVERY = 0.25
"""Seconds between two times that the nodes are written down."""


async def run(folder: Path, workflow: Mapping[str, Any], pods: Pods, clock: Clock) -> Ended:
    """Execute the graph of a run, and its exit handler. Return its end, or why it had to end before."""
    nodes, began = Nodes(clock), clock.monotonic()
    graph = Graph(workflow, nodes, Surroundings(folder, pods.run, pods.is_ending, clock))
    noting = asyncio.ensure_future(_note(folder, nodes))
    try:
        ended = await graph.run()
        if pods.end:
            ended = Ended(pods.end.phase, pods.end.message)
        if pods.allows_exit():
            ended = await graph.run_exit(ended, clock.monotonic() - began)
    finally:
        noting.cancel()
        pods.kill()
        write_nodes(folder, nodes)
    return ended


async def _note(folder: Path, nodes: Nodes) -> None:
    while True:
        if nodes.changed:
            write_nodes(folder, nodes)
        await asyncio.sleep(NODES_EVERY)


def write_nodes(folder: Path, nodes: Nodes) -> None:
    write(folder / "nodes.json", json.dumps({"nodes": nodes.described()}))
    write(folder / "progress", f"{nodes.done}/{nodes.total}")


def resources(elapsed: float) -> dict[str, float]:
    """Return the resource seconds of the steps as Argo counts them: CPU, and 100 MiB (at the largest peak)."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    peak = used.ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    return {"cpu": round(used.ru_utime + used.ru_stime, 3), "memory": round(peak / _MEMORY_UNIT * elapsed, 3)}


def execute(folder: Path, clock: Clock) -> None:
    """Execute the run in `folder`, unless another runner has started it before."""
    if (folder / "started.json").exists():
        return
    with locked(folder, wait=True):
        if (folder / "started.json").exists() or (folder / "exit.json").exists():
            return
        workflow = read(folder / "workflow.json")
        if workflow is None:
            return
        adopt_orphans()
        if workflow.get("isolate", True):
            confine()  # if this is not possible, the daemon logged it at its start
        write(folder / "started.json", json.dumps({"pid": os.getpid(), "at": clock.now()}))
        if fields := workflow.get("unused"):
            sys.stderr.write(f"{NO_EFFECT}: {some(fields)}\n")
        began = clock.monotonic()
        machine = Machine(folder, workflow["workdir"], file_view.available(), claims(workflow["spec"]))
        pods = Pods(machine, workflow["spec"].get("activeDeadlineSeconds"), clock)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, pods.interrupt)
        ended = _end(folder, workflow, pods, clock)
        used = resources(clock.monotonic() - began)
        stopped = pods.end is not None and pods.end.stopped and ended.failed
        outputs = dict(ended.outputs.parameters) if ended.phase == "Succeeded" else {}
        outcome = {
            "phase": ended.phase,
            "message": printable(ended.message.replace("\n", " ")),
            "stopped": stopped,
            "outputs": outputs,
        }
        finish(folder, {**outcome, "finishedAt": clock.now(), "resourcesDuration": used})


def _end(folder: Path, workflow: Mapping[str, Any], pods: Pods, clock: Clock) -> Ended:
    try:
        return asyncio.run(run(folder, workflow, pods, clock))
    except Exception as error:  # noqa: BLE001 - whatever it was, the end of the run must be recorded
        traceback.print_exc()
        return Ended("Error", f"the runner failed: {type(error).__name__}: {error}")


def main() -> None:
    """Execute the run in a new session, so that signals to the daemon's session do not end it."""
    with suppress(PermissionError):  # it is a session leader already
        os.setsid()
    execute(Path(sys.argv[1]), SystemClock())


if __name__ == "__main__":
    main()
