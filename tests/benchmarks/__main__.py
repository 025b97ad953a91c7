"""`python -m tests.benchmarks [--only NAME …]`: run benchmarks, and write bench.json and the pages with its figures."""

from __future__ import annotations

import argparse
import os
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson

from tests.benchmarks import (
    backlog,
    deployment,
    fan_out,
    flow,
    keys,
    latency,
    ledger,
    many_rules,
    memory,
    page,
    pages,
    peers,
    pure,
    replicas,
    restart,
    simulation,
    slots,
    two_consumers,
)
from tests.benchmarks.cluster import KUBECONFIG, Cluster
from tests.benchmarks.machine import machine, versions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.benchmarks.figures import Figure

OUT = pages.BENCH
ALONE: Mapping[str, Callable[[], list[Figure]]] = {
    "step": pure.pure_step,
    "throughput": flow.throughput,
    "backlog": backlog.million,
    "keys": keys.many_keys,
    "ledger": ledger.long_ledger,
    "fan-out": fan_out.one_slot,
    "kill-one-of-two": two_consumers.kill_one_of_two,
    "simulation": simulation.thirty_days,
    "rules": many_rules.ten_thousand_rules,
    "page": page.budgets,
    "scale-out": replicas.scale_out,
    "takeover": replicas.takeover,
}
ON_CLUSTER: dict[str, Callable[[Cluster], list[Figure]]] = {
    "latency-5": latency.at_5,
    "latency-20": latency.at_20,
    "kafka-5": latency.kafka_at_5,
    "kafka-50": latency.kafka_at_50,
    "burst": latency.burst,
    "slots": slots.same_second,
    "restart": restart.after_kill,
    "memory": memory.resident,
    "deployment": deployment.weight,
}
BESIDE: dict[str, Callable[[Cluster], list[Figure]]] = {"peers-5": peers.at_5, "peers-load": peers.under_load}
"""Run only if named with `--only`, because the software that they compare with has to be built."""
NAMES = (*ALONE, *ON_CLUSTER)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=(*NAMES, *BESIDE), default=NAMES, help="measure these, keep the other figures"
    )
    wanted = parser.parse_args().only
    cluster = Cluster() if KUBECONFIG.exists() else None
    report = {"machine": machine(), "versions": versions(cluster)}
    figures = _kept()
    for name in wanted:
        for figure in _measure(name, cluster):
            figures[figure.name] = figure.to_json() | circumstances()
            print(_line(figure), flush=True)
        OUT.write_bytes(orjson.dumps({**report, "figures": list(figures.values())}, option=orjson.OPT_INDENT_2) + b"\n")
        pages.write()
    return 0 if all(figure["met"] is not False for figure in figures.values()) else 1


def circumstances() -> dict[str, Any]:
    """The conditions that reveal a disturbed figure. On an idle machine the load is that of the benchmark alone."""
    return {
        "measured_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "load_average": round(os.getloadavg()[0], 2),
    }


def _measure(name: str, cluster: Cluster | None) -> list[Figure]:
    if name in ALONE:
        return ALONE[name]()
    if cluster is None:
        print(f"{name}: left out, no cluster is up (tests/cluster/cluster.sh build, then up)")
        return []
    return (ON_CLUSTER | BESIDE)[name](cluster)


def _kept() -> dict[str, Any]:
    """The figures of earlier runs by name. New figures replace them."""
    return {f["name"]: f for f in orjson.loads(OUT.read_bytes())["figures"]} if OUT.exists() else {}


def _line(figure: Figure) -> str:
    sign = ">=" if figure.at_least else "<="
    goal = "" if figure.goal is None else f"  goal {sign} {figure.goal:g}: {'met' if figure.met else 'MISSED'}"
    return f"{figure.name:36} {figure.value:>9g} {figure.unit}{goal}"


if __name__ == "__main__":
    raise SystemExit(main())
