"""The demo's regression in plain Python gives what scikit-learn gives."""

from __future__ import annotations

import importlib.util
import random
from typing import TYPE_CHECKING

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

from retrainer.cli.demo import QUICKSTART

if TYPE_CHECKING:
    from types import ModuleType


@pytest.fixture(scope="module")
def logistic() -> ModuleType:
    spec = importlib.util.spec_from_file_location("quickstart_logistic", QUICKSTART / "pipeline/logistic.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def sample(*, separable: bool = False, constant: bool = False) -> tuple[list[list[float]], list[int]]:
    chance = random.Random(7)
    rows = [
        [chance.gauss(40, 9), chance.expovariate(0.1), 3.0 if constant else float(chance.random() < 0.4)]
        for _ in range(400)
    ]
    noise = 0.0 if separable else 6.0
    return rows, [int(row[0] - row[1] + chance.gauss(0, noise) > 30) for row in rows]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param(sample(), id="noisy labels"),
        pytest.param(sample(separable=True), id="labels that a line separates"),
        pytest.param(sample(constant=True), id="a feature that never changes"),
    ],
)
def test_the_fit_is_that_of_scikit_learn(logistic: ModuleType, given: tuple[list[list[float]], list[int]]) -> None:
    rows, labels = given
    model = logistic.fit(rows, labels)
    scaled = StandardScaler().fit_transform(np.array(rows))
    expected = LogisticRegression(tol=1e-10, max_iter=10_000).fit(scaled, labels)
    assert model.weights == pytest.approx(expected.coef_[0].tolist(), abs=1e-4)
    assert model.intercept == pytest.approx(float(expected.intercept_[0]), abs=1e-4)
    scores = [model.score(row) for row in rows]
    assert scores == pytest.approx(expected.decision_function(scaled).tolist(), abs=1e-3)


def test_equal_scores_count_half(logistic: ModuleType) -> None:
    scores, labels = [0.1, 0.4, 0.4, 0.4, 0.9, 0.2], [0, 1, 0, 1, 1, 1]
    assert logistic.auc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
