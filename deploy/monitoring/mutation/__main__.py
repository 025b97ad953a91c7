"""`make mutate-alerts`: exit 0 if 95 of 100 mutants die, and every survivor has a reason in survivors.yaml."""

from __future__ import annotations

import argparse
import sys
import time

from deploy.monitoring.mutation.run import ENOUGH, Trial, known_survivors, trial


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("alerts", nargs="*", help="only these alerts")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--minutes", type=float, default=20, help="mutants that are left after this time count as alive"
    )
    asked = parser.parse_args()
    done = trial(set(asked.alerts), asked.jobs, time.monotonic() + 60 * asked.minutes)
    return report(done)


def report(done: Trial) -> int:
    reasons = known_survivors()
    unexplained = [mutant for mutant in done.alive if mutant not in reasons]
    lines = [f"alive  {mutant}\n       {reasons.get(mutant, 'NO REASON')}" for mutant in done.alive]
    gone = sorted(reasons.keys() - set(done.alive)) if done.whole else []
    lines += [f"gone   {mutant}: take it out of survivors.yaml" for mutant in gone]
    share = done.dead / done.total if done.total else 1.0
    lines.append(f"{done.dead} of {done.total} mutants died: {share:.1%}; {done.seconds:.0f} s")
    print("\n".join(lines))  # noqa: T201 - the report
    return 0 if share >= ENOUGH and not unexplained else 1


if __name__ == "__main__":
    sys.exit(main())
