"""Print the coverage of each folder of `retrainer/`, from what `make coverage` measured. The HTML has each line."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import defaultdict
from pathlib import PurePath

KINDS = ("covered_lines", "num_statements", "covered_branches", "num_branches")


def main() -> None:
    command = [sys.executable, "-m", "coverage", "json", "--quiet", "-o", "-"]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    folders: dict[str, list[int]] = defaultdict(lambda: [0] * len(KINDS))
    for path, file in report["files"].items():
        for name in (_folder(path), "total"):
            for n, kind in enumerate(KINDS):
                folders[name][n] += file["summary"][kind]
    print(f"{'folder':32}{'statements':>11}{'covered':>9}{'branches':>10}{'covered':>9}")
    for name, (lines, of_lines, branches, of_branches) in sorted(folders.items(), key=lambda item: item[0] == "total"):
        print(f"{name:32}{of_lines:11}{_percent(lines, of_lines)}{of_branches:10}{_percent(branches, of_branches)}")


def _folder(path: str) -> str:
    return "/".join(PurePath(path).parts[:-1][:3])


def _percent(part: int, whole: int) -> str:
    return f"{part / whole:9.1%}" if whole else f"{'-':>9}"


if __name__ == "__main__":
    main()
