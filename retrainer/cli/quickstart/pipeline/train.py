"""Step 3: train on most customers, judge on the others, and promote the model if it beats the champion there."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from common import read_rows, say
from logistic import Model, auc, fit

Sample = tuple[list[list[float]], list[int]]


def load(path: Path) -> tuple[list[str], Sample, Sample]:
    """Read the names of the features, and values and labels: of those to train on, and of those held out."""
    rows = read_rows(path)
    names = [name for name in rows[0] if name not in ("churned", "held_out")]
    parts: tuple[Sample, Sample] = ([], []), ([], [])
    for row in rows:
        values, labels = parts[int(row["held_out"])]
        values.append([float(row[name]) for name in names])
        labels.append(int(row["churned"]))
    return names, *parts


def judge(model: Model, sample: Sample) -> float:
    values, labels = sample
    return auc([model.score(row) for row in values], labels)


def read_champion(path: Path, names: list[str]) -> Model | None:
    """Read the champion; None if there is none, or one that knows other features."""
    if not path.exists():
        return None
    champion = json.loads(path.read_text(encoding="utf-8"))
    return Model(**champion["model"]) if champion["features"] == names else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--outputs", type=Path, required=True)
    args = parser.parse_args()

    names, training, aside = load(args.features)
    for (_, labels), where in ((training, "to train on"), (aside, "to judge on")):
        if len(set(labels)) < 2:
            raise SystemExit(f"{len(labels)} customers {where} are too few: some must have left and some stayed")
    model = fit(*training)
    score = judge(model, aside)

    # The champion is judged anew, on the same customers: an old score says nothing about today's.
    path = args.models / "champion.json"
    champion = read_champion(path, names)
    best = judge(champion, aside) if champion else None
    promoted = best is None or score > best
    if promoted:
        args.models.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps({"run": args.run, "auc": score, "features": names, "model": vars(model)}))
        beside.rename(path)
    say(args.outputs, auc=f"{score:.4f}", promoted=promoted)
    if best is not None:
        say(args.outputs, champion_auc=f"{best:.4f}")
    shutil.rmtree(args.features.parent)  # what the steps handed on is used up
    print(f"auc {score:.4f} on {len(aside[1])} customers; champion {best if best is None else f'{best:.4f}'}")


if __name__ == "__main__":
    main()
