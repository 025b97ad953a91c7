"""`python -m tests.benchmarks.profile engine|kafka [--records N] [--rules N]`: profile the hot path by function."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from retrainer.config.load import load_settings
from retrainer.daemon.app import build
from retrainer.telemetry import logs
from tests.benchmarks.daemon import write_configuration
from tests.benchmarks.engine import EVENTS_A_BATCH, an_engine, events_like_records
from tests.benchmarks.load import NAME, kafka_sources, matching_rules
from tests.benchmarks.records import produce, topic
from tests.benchmarks.sampler import Sampler

if TYPE_CHECKING:
    from retrainer.daemon.lifecycle import Daemon


def engine(records: int, rules: int) -> str:
    """The engine's thread on a real SQLite file. Another thread offers events that were built in advance."""
    batches = events_like_records(records)
    with tempfile.TemporaryDirectory() as folder, an_engine(Path(folder), matching_rules(rules)) as running:
        with Sampler() as sampler:
            began = time.monotonic()
            running.offer_all(batches)
            took = time.monotonic() - began
        return f"{records / took:.0f} events a second, {EVENTS_A_BATCH} a batch\n{sampler.report(records)}"


def kafka(records: int, rules: int) -> str:
    """The whole daemon in this process, from its start until it has stored the records of a topic."""
    with tempfile.TemporaryDirectory() as folder, topic() as name:
        produce(name, records)
        settings = write_configuration(Path(folder), "", matching_rules(rules), kafka_sources(name), 0)
        logs.configure("info", json=None)
        app = build(load_settings(str(settings)), Path(folder))
        app.start()
        with Sampler() as sampler:
            began, before = time.monotonic(), _stored(app)
            while _stored(app) < records:
                time.sleep(0.1)
            took = time.monotonic() - began
        app.stop()
        return f"{(records - before) / took:.0f} records a second\n{sampler.report(records - before)}"


def _stored(app: Daemon) -> int:
    return sum(app.engine.parts(NAME).values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=("engine", "kafka"))
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--rules", type=int, default=100)
    given = parser.parse_args()
    print((engine if given.what == "engine" else kafka)(given.records, given.rules))


if __name__ == "__main__":
    main()
