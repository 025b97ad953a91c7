"""Step 3: train on most customers, judge on the others, and promote the model if it beats the champion there."""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
from common import read_rows, say
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

Model = dict[str, object]


def load(path: Path) -> tuple[list[str], np.ndarray, np.ndarray, np.ndarray]:
    """Read the names of the features, their values, the labels, and which rows are held out."""
    rows = read_rows(path)
    names = [name for name in rows[0] if name not in ("churned", "held_out")]
    values = np.array([[float(row[name]) for name in names] for row in rows])
    labels = np.array([int(row["churned"]) for row in rows])
    return names, values, labels, np.array([row["held_out"] == "1" for row in rows])


def fit(values: np.ndarray, labels: np.ndarray) -> Model:
    scaler = StandardScaler().fit(values)
    regression = LogisticRegression(max_iter=500).fit(scaler.transform(values), labels)
    return {
        "mean": scaler.mean_.tolist(),
        "scale": scaler.scale_.tolist(),
        "weights": regression.coef_[0].tolist(),
        "intercept": float(regression.intercept_[0]),
    }


def auc(model: Model, values: np.ndarray, labels: np.ndarray) -> float:
    scaled = (values - np.array(model["mean"])) / np.array(model["scale"])
    return float(roc_auc_score(labels, scaled @ np.array(model["weights"]) + model["intercept"]))


def read_champion(path: Path, names: list[str]) -> Model | None:
    """Read the champion; None if there is none, or one that knows other features."""
    if not path.exists():
        return None
    champion: Model = json.loads(path.read_text(encoding="utf-8"))
    return champion if champion["features"] == names else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("features", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--run", required=True)
    parser.add_argument("--outputs", type=Path, required=True)
    args = parser.parse_args()

    names, values, labels, aside = load(args.features)
    for part, where in ((labels[~aside], "to train on"), (labels[aside], "to judge on")):
        if len(np.unique(part)) < 2:
            raise SystemExit(f"{len(part)} customers {where} are too few: some must have left and some stayed")
    model = fit(values[~aside], labels[~aside])
    score = auc(model, values[aside], labels[aside])

    # The champion is judged anew, on the same customers: an old score says nothing about today's.
    path = args.models / "champion.json"
    champion = read_champion(path, names)
    best = auc(champion, values[aside], labels[aside]) if champion else None
    promoted = best is None or score > best
    if promoted:
        args.models.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".tmp")
        beside.write_text(json.dumps({"run": args.run, "auc": score, "features": names, **model}), encoding="utf-8")
        beside.rename(path)
    say(args.outputs, auc=f"{score:.4f}", promoted=promoted)
    if best is not None:
        say(args.outputs, champion_auc=f"{best:.4f}")
    shutil.rmtree(args.features.parent)  # what the steps handed on is used up
    print(f"auc {score:.4f} on {aside.sum()} customers; champion {best if best is None else f'{best:.4f}'}")


if __name__ == "__main__":
    main()
