"""Runs promtool's tests against each mutant."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from deploy.monitoring.mutation.mutants import Mutant, Rule, mutants

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

HERE = Path(__file__).parent
MONITORING = HERE.parent
CACHE = Path.home() / ".cache/retrainer-prometheus/usr/bin/promtool"
"""Where tests/integration/servers/prometheus.sh puts it."""
ENOUGH = 0.95
LONGEST = 60
"""Seconds for the tests of one mutant. More counts as dead: an expression that never ends is noticed."""


@dataclass(slots=True)
class Trial:
    total: int = 0
    alive: list[str] = field(default_factory=list)
    """Ids of the mutants that no test noticed."""
    seconds: float = 0.0
    whole: bool = True
    """Whether all alerts were tried."""

    @property
    def dead(self) -> int:
        return self.total - len(self.alive)


@dataclass(frozen=True, slots=True)
class Subject:
    """An alert, after the rules that record for it: they are tested together, and without the others."""

    rules: Sequence[Rule]
    files: Sequence[tuple[dict[str, Any], Sequence[dict[str, Any]]]]
    """The head and the cases of each test file that has cases of these rules."""

    def passes(self, promtool: str, place: int, rule: Rule) -> bool:
        """Whether the tests pass with ``rule`` at ``place``."""
        rules = [*self.rules[:place], rule, *self.rules[place + 1 :]]
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "alerts.yaml").write_text(yaml.safe_dump({"groups": [{"name": "g", "rules": rules}]}))
            paths = []
            for number, (head, cases) in enumerate(self.files):
                path = Path(folder) / f"{number}.yaml"
                path.write_text(yaml.safe_dump({**head, "rule_files": ["alerts.yaml"], "tests": list(cases)}))
                paths.append(str(path))
            return _passes([promtool, "test", "rules", *paths])


def _passes(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False, timeout=LONGEST).returncode == 0  # noqa: S603 - promtool
    except subprocess.TimeoutExpired:
        return False


def known_survivors() -> dict[str, str]:
    """Id and reason of the mutants that may live."""
    known: list[dict[str, Any]] = yaml.safe_load((HERE / "survivors.yaml").read_text())
    return {mutant: each["reason"] for each in known for mutant in each["mutants"]}


def subjects() -> list[Subject]:
    """All rules, with their tests."""
    groups = yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"]
    files = [yaml.safe_load(path.read_text()) for path in sorted((MONITORING / "tests").glob("*.yaml"))]
    rules = [rule for group in groups for rule in group["rules"]]
    recorded = [rule for rule in rules if "record" in rule]
    together = [[*(r for r in recorded if _is_for(r, rule)), rule] for rule in rules if "alert" in rule]
    return [Subject(each, _files_about(files, each[-1]["alert"])) for each in together]


def _is_for(recorded: Rule, alert: Rule) -> bool:
    return recorded["record"] in alert["expr"] and f'slo="{recorded["labels"]["slo"]}"' in alert["expr"]


def _files_about(files: Iterable[dict[str, Any]], alert: str) -> list[tuple[dict[str, Any], Sequence[dict[str, Any]]]]:
    picked = [(file, [case for case in file["tests"] if re.search(rf"\W{alert}\W", str(case))]) for file in files]
    return [({"evaluation_interval": file["evaluation_interval"]}, cases) for file, cases in picked if cases]


def trial(only: set[str], jobs: int, until: float) -> Trial:
    """Try the mutants of the alerts named ``only``; of all rules if it is empty. ``until``: see `time.monotonic`."""
    promtool = shutil.which("promtool") or str(CACHE)
    began = time.monotonic()
    broken = [subject.rules[0] for subject in subjects() if not subject.passes(promtool, 0, subject.rules[0])]
    if broken:
        raise SystemExit(f"the tests fail without any mutant: {broken}")
    tasks = [
        (subject, place, mutant)
        for subject in subjects()
        for place, rule in enumerate(subject.rules)
        for mutant in mutants(rule)
        if not only or mutant.name in only
    ]

    def lives(task: tuple[Subject, int, Mutant]) -> bool:
        subject, place, mutant = task
        return time.monotonic() > until or subject.passes(promtool, place, mutant.rule)

    with ThreadPoolExecutor(jobs) as pool:
        alive = [mutant.id for (_, _, mutant), lived in zip(tasks, pool.map(lives, tasks), strict=True) if lived]
    return Trial(len(tasks), alive, time.monotonic() - began, whole=not only)
