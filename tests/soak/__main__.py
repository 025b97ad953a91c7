"""`python -m tests.soak [--minutes M] [--seed N]`: run all features together with faults, and check the result.

The exit code is 0 if all claims hold. The seed determines the faults, edits and poison, and their order.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
from typing import TYPE_CHECKING

from tests.benchmarks.cluster import KUBECONFIG
from tests.soak import page
from tests.soak.account import account
from tests.soak.plan import CLUSTER, plan
from tests.soak.soak import Soak

if TYPE_CHECKING:
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    asked = _arguments().parse_args(arguments)
    spared = CLUSTER if asked.spare_cluster else frozenset()
    if asked.plan:
        print(*(f"{fault.at:7.1f}  {fault}" for fault in plan(asked.seed, asked.minutes, spared)), sep="\n")
        return 0
    if not KUBECONFIG.exists():
        print("no cluster is up: run tests/soak/run, or tests/cluster/cluster.sh build and up")
        return 2
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is shut down
    print(
        f"seed {asked.seed}, {asked.minutes:g} minutes: make soak SEED={asked.seed} MINUTES={asked.minutes:g}",
        flush=True,
    )
    soak = Soak(asked.seed, asked.minutes, spared, lambda line: print(line, flush=True))
    print(f"logs: {soak.folder}", flush=True)
    return _judge(soak, write=asked.write)


def _judge(soak: Soak, *, write: bool) -> int:
    facts = soak.run()
    claims = account(facts)
    told = page.report(soak, facts, claims)
    print(told)
    if write:
        page.write(soak, facts, claims)
    if all(claim.holds or not claim.judged for claim in claims):
        shutil.rmtree(soak.folder)
        return 0
    (soak.folder / "account.txt").write_text(told)
    print(f"not all of it holds: {soak.folder} has the logs; repeat it by SEED={soak.seed}")
    return 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long there is load (60)")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6), help="repeat that run")
    parser.add_argument(
        "--spare-cluster", action="store_true", help="no faults of the cluster's own parts: it is shared"
    )
    parser.add_argument("--plan", action="store_true", help="only print which faults there would be")
    parser.add_argument(
        "--write", action="store_true", help="write docs/concepts/soak.md, and the figures into bench.json"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
