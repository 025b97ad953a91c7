"""`python -m tests.benchmarks.profile engine|kafka [--records N] [--rules N]`: the hot path by function and share."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.benchmarks.engine import EVENTS_A_BATCH, an_engine, events_like_records
from tests.benchmarks.load import matching_rules
from tests.benchmarks.sampler import Sampler


def engine(records: int, rules: int) -> str:
    """The engine's thread alone on a real SQLite file: events are offered by another thread, made before."""
    batches = events_like_records(records)
    with tempfile.TemporaryDirectory() as folder, an_engine(Path(folder), matching_rules(rules)) as running:
        with Sampler() as sampler:
            began = time.monotonic()
            running.offer_all(batches)
            took = time.monotonic() - began
        return f"{records / took:.0f} events a second, {EVENTS_A_BATCH} a batch\n{sampler.report(records)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("engine", "kafka"))
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rules", type=int, default=100)
    given = parser.parse_args()
    if given.what == "engine":
        print(engine(given.records, given.rules))


if __name__ == "__main__":
    main()
