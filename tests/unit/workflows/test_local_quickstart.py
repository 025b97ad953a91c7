"""The pipeline of the quickstart, as the demo runs it: real files, real processes, a real model."""

from __future__ import annotations

import importlib.util
import json
import threading
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.cli.demo import QUICKSTART
from retrainer.config.settings import LocalEngine as Settings
from retrainer.workflows.local.engine import LocalEngine
from tests.waiting import until

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from retrainer.workflows.base import Observed


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_generate", QUICKSTART / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def engine(tmp_path: Path) -> LocalEngine:
    templates, runs = str(QUICKSTART / "templates"), str(tmp_path / "runs")
    return LocalEngine(Settings(type="local", templates=templates, runs=runs), instance="quickstart")


def run(engine: LocalEngine, home: Path, name: str) -> Observed:
    folders = {name: str(home / name) for name in ("landing", "models", "workspace")}
    parameters = [{"name": key, "value": value} for key, value in folders.items()]
    manifest: dict[str, Any] = {
        "metadata": {"name": name, "namespace": "default", "annotations": {"retrainer.dev/run": name}},
        "spec": {"workflowTemplateRef": {"name": "churn-train"}, "arguments": {"parameters": parameters}},
    }
    engine.create(manifest, timeout=5)

    def look() -> Observed | None:
        seen = engine.get("default", name)
        return seen if seen is not None and seen.finished_at is not None else None

    return until(look, f"{name} ends", 120)


def test_the_templates_are_all_runnable(engine: LocalEngine) -> None:
    assert engine.check() == []


def test_it_trains_and_promotes_what_is_better(engine: LocalEngine, generate: ModuleType, tmp_path: Path) -> None:
    landing = tmp_path / "landing"
    landing.mkdir()
    for number in range(1, 9):
        generate.land(landing, number)
    first = run(engine, tmp_path, "first")
    assert (first.phase, first.message, first.progress) == ("Succeeded", "", "3/3")
    assert first.outputs["rows"] == "1600"
    assert first.outputs["promoted"] == "true"
    assert first.outputs["champion-auc"] == ""
    assert 0.7 < float(first.outputs["auc"]) < 1
    assert not list((tmp_path / "workspace").glob("*"))

    again = run(engine, tmp_path, "again")
    assert again.outputs["auc"] == again.outputs["champion-auc"] == first.outputs["auc"]
    assert again.outputs["promoted"] == "false"

    for path in landing.iterdir():
        path.unlink()
    for number in range(150, 165):
        generate.land(landing, number)
    drifted = run(engine, tmp_path, "drifted")
    assert drifted.outputs["promoted"] == "true"
    assert float(drifted.outputs["auc"]) > float(drifted.outputs["champion-auc"])
    assert json.loads((tmp_path / "models/champion.json").read_text())["run"] == "drifted"


def test_without_data_it_fails_and_says_so(engine: LocalEngine, tmp_path: Path) -> None:
    end = run(engine, tmp_path, "empty")
    assert (end.phase, end.message) == ("Failed", f"pull: exit code 1: no labelled customers in {tmp_path}/landing")


def test_files_land_whole_one_after_the_other(generate: ModuleType, tmp_path: Path) -> None:
    stop = threading.Event()
    generate.land(tmp_path, 41)
    thread = threading.Thread(target=generate.produce, args=(tmp_path, stop, 0.01))
    thread.start()
    until(lambda: len(list(tmp_path.glob("*.csv"))) >= 4, "four files have landed")
    stop.set()
    thread.join()
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names[:3] == ["customers-000041.csv", "customers-000042.csv", "customers-000043.csv"]
    assert {len(path.read_text().splitlines()) for path in tmp_path.iterdir()} == {generate.ROWS + 1}
    assert generate.customers(7) == generate.customers(7) != generate.customers(8)
