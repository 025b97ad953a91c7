"""Step 2: turn customers into features, and keep every fourth customer aside to judge models on."""

from __future__ import annotations

import argparse
import math
import zlib
from pathlib import Path

from common import Row, read_rows, say, write_rows


def features(row: Row) -> Row:
    tenure, charge, calls = float(row["tenure_months"]), float(row["monthly_charge"]), float(row["support_calls"])
    numbers = {
        "log_tenure": math.log1p(tenure),
        "charge": charge,
        "calls": calls,
        "calls_per_year": 12 * calls / (tenure + 1),
        "idle_days": float(row["days_since_login"]),
        "yearly": float(row["contract"] == "yearly"),
    }
    return {**{name: f"{value:.6g}" for name, value in numbers.items()}, "churned": row["churned"]}


def held_out(row: Row) -> bool:
    """By a hash of the customer: whoever is in the hold-out set stays in it, so no model ever learned from them."""
    return zlib.crc32(row["customer"].encode()) % 4 == 0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pulled", type=Path)
    parser.add_argument("--outputs", type=Path, required=True)
    args = parser.parse_args()

    rows = [{**features(row), "held_out": str(int(held_out(row)))} for row in read_rows(args.pulled)]
    path = args.pulled.with_name("features.csv")
    write_rows(path, rows)
    say(args.outputs, features=path)
    print(f"{len(rows):,} rows with {', '.join(rows[0])}")


if __name__ == "__main__":
    main()
