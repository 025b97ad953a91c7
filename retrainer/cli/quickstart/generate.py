"""Customers, labelled with whether they left: one CSV file after the other, as a billing system might land them.

What makes customers leave changes slowly from file to file, so that a model that is not trained anew gets worse.
"""

from __future__ import annotations

import argparse
import csv
import math
import random
import threading
from pathlib import Path

ROWS = 200
SEED = 20260101
COLUMNS = ("customer", "tenure_months", "monthly_charge", "support_calls", "days_since_login", "contract", "churned")


def customers(number: int, rows: int = ROWS) -> list[dict[str, object]]:
    """Make the customers of file `number`; the same number gives the same customers."""
    random_ = random.Random(SEED + number)
    return [_customer(random_, f"c{number:06d}-{index:03d}", number) for index in range(rows)]


def _customer(random_: random.Random, name: str, number: int) -> dict[str, object]:
    tenure = random_.randint(0, 72)
    charge = round(random_.uniform(10, 120), 2)
    calls = min(12, int(random_.expovariate(0.5)))
    idle = int(random_.expovariate(1 / 10))
    yearly = random_.random() < 0.4
    drift = math.sin(number / 60)  # a full swing of taste in some 380 files
    score = -1.2 - 0.6 * math.log1p(tenure) + 0.35 * calls + 0.05 * idle
    score += 0.02 * charge * (1 + drift) - (0.8 - 1.2 * drift) * yearly
    churned = random_.random() < 1 / (1 + math.exp(-score))
    contract = "yearly" if yearly else "monthly"
    return dict(zip(COLUMNS, (name, tenure, charge, calls, idle, contract, int(churned)), strict=True))


def land(folder: Path, number: int) -> Path:
    """Write file `number`; it appears in the folder whole."""
    path = folder / f"customers-{number:06d}.csv"
    beside = path.with_suffix(".tmp")
    with beside.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=COLUMNS)
        writer.writeheader()
        writer.writerows(customers(number))
    beside.rename(path)
    return path


def produce(folder: Path, stop: threading.Event, interval: float) -> None:
    """Land one file every `interval` seconds until `stop` is set, going on after the newest that is there."""
    folder.mkdir(parents=True, exist_ok=True)
    number = max((int(path.stem.rpartition("-")[2]) for path in folder.glob("customers-*.csv")), default=0)
    while not stop.is_set():
        number += 1
        land(folder, number)
        stop.wait(interval)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--interval", type=float, default=1.0, help="seconds between two files")
    args = parser.parse_args()
    stop = threading.Event()
    try:
        produce(args.folder, stop, args.interval)
    except KeyboardInterrupt:
        stop.set()


if __name__ == "__main__":
    main()
