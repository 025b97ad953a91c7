"""Logistic regression in plain Python, as no step of the demo may need a package."""

from __future__ import annotations

import math
from itertools import groupby
from operator import itemgetter
from statistics import fmean, pstdev

Vector = list[float]
STEPS = 25
CLOSE = 1e-9
"""The fit ends when no weight moves by more than this."""


class Model:
    """Weights for values that are scaled to mean 0 and deviation 1."""

    def __init__(self, mean: Vector, scale: Vector, weights: Vector, intercept: float) -> None:
        self.mean, self.scale, self.weights, self.intercept = mean, scale, weights, intercept

    def score(self, row: Vector) -> float:
        """The logarithm of the odds of label 1."""
        terms = zip(row, self.mean, self.scale, self.weights, strict=True)
        return self.intercept + sum((value - mean) / scale * weight for value, mean, scale, weight in terms)


def fit(rows: list[Vector], labels: list[int]) -> Model:
    """Minimise the loss plus half the squared weights by Newton's method: the result of scikit-learn's default."""
    columns = list(zip(*rows, strict=True))
    mean, scale = [fmean(column) for column in columns], [pstdev(column) or 1.0 for column in columns]
    scaled = [[1.0, *((v - m) / s for v, m, s in zip(row, mean, scale, strict=True))] for row in rows]
    weights = [0.0] * len(scaled[0])
    for _ in range(STEPS):
        step = solve(*slopes(scaled, labels, weights))
        weights = [weight - change for weight, change in zip(weights, step, strict=True)]
        if max(map(abs, step)) < CLOSE:
            break
    return Model(mean, scale, weights[1:], weights[0])


def slopes(rows: list[Vector], labels: list[int], weights: Vector) -> tuple[list[Vector], Vector]:
    """The second derivatives of the loss, and the first. Weight 0 is the intercept, which is not kept small."""
    size = len(weights)
    second = [[float(i == j and i > 0) for j in range(size)] for i in range(size)]
    first = [0.0, *weights[1:]]
    for row, label in zip(rows, labels, strict=True):
        chance = 1 / (1 + math.exp(-sum(map(float.__mul__, row, weights))))
        for i, value in enumerate(row):
            first[i] += (chance - label) * value
            curve = chance * (1 - chance) * value
            for j in range(i + 1):
                second[i][j] += curve * row[j]
    return [[second[max(i, j)][min(i, j)] for j in range(size)] for i in range(size)], first


def solve(matrix: list[Vector], right: Vector) -> Vector:
    """Solve the equations by elimination. The matrix is positive definite, so no pivot is 0."""
    rows = [[*row, value] for row, value in zip(matrix, right, strict=True)]
    for i, pivot in enumerate(rows):
        for row in rows[i + 1 :]:
            share = row[i] / pivot[i]
            row[i:] = [a - share * b for a, b in zip(row[i:], pivot[i:], strict=True)]
    solution = [0.0] * len(rows)
    for i, row in reversed(list(enumerate(rows))):
        solution[i] = (row[-1] - sum(map(float.__mul__, row[i + 1 : -1], solution[i + 1 :]))) / row[i]
    return solution


def auc(scores: Vector, labels: list[int]) -> float:
    """The chance that a row with label 1 scores higher than one with label 0; equal scores count half."""
    below = wins = 0.0
    for _, group in groupby(sorted(zip(scores, labels, strict=True)), key=itemgetter(0)):
        equal = [label for _, label in group]
        ones, zeros = sum(equal), len(equal) - sum(equal)
        wins += ones * (below + zeros / 2)
        below += zeros
    return wins / (below * (len(labels) - below))
