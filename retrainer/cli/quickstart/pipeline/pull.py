"""Step 1: collect the newest files of labelled customers into one."""

from __future__ import annotations

import argparse
from pathlib import Path

from common import read_rows, say, write_rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--landing", type=Path, required=True)
    parser.add_argument("--newest-files", type=int, default=30)
    parser.add_argument("--new-rows", type=int, default=0, help="how many of them came since the last run")
    parser.add_argument("--workspace", type=Path, required=True)
    parser.add_argument("--outputs", type=Path, required=True)
    args = parser.parse_args()

    files = sorted(args.landing.glob("*.csv"))[-args.newest_files :]
    rows = [row for file in files for row in read_rows(file)]
    if not rows:
        raise SystemExit(f"no labelled customers in {args.landing}")
    pulled = args.workspace.resolve() / "pulled.csv"
    write_rows(pulled, rows)
    say(args.outputs, pulled=pulled, rows=len(rows))
    print(f"{len(rows):,} rows of {len(files)} files, {files[0].name} to {files[-1].name}; {args.new_rows} are new")


if __name__ == "__main__":
    main()
