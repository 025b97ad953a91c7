"""The model: a random forest that keeps the distribution of its training data, to measure drift."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from sklearn.ensemble import RandomForestClassifier

if TYPE_CHECKING:
    from study.stream import Images

_TREES = 30
_GREYS = np.arange(17)
_HELD_OUT = 4
"""Every fourth image of scikit-learn's is excluded from training."""


@dataclass(frozen=True, slots=True)
class Model:
    """``seen`` describes the training data: per grey and pixel, the share of images that are no brighter there."""

    forest: RandomForestClassifier
    seen: np.ndarray

    def accuracy(self, images: Images) -> float:
        return float(np.mean(self.forest.predict(images.pixels) == images.digits))

    def distance(self, images: Images) -> float:
        """The Kolmogorov-Smirnov statistic between images and the training data, averaged over the pixels."""
        return float(np.abs(_cumulated(images) - self.seen).max(axis=0).mean())


def train(images: Images) -> Model:
    """Train on all images that are not held out. The same images give the same model."""
    used = images.only(~_held_out(images))
    forest = RandomForestClassifier(_TREES, random_state=0).fit(used.pixels, used.digits)
    return Model(forest, _cumulated(used))


def held_out(images: Images) -> Images:
    return images.only(_held_out(images))


def _held_out(images: Images) -> np.ndarray:
    return images.origin % _HELD_OUT == 0


def _cumulated(images: Images) -> np.ndarray:
    return (images.pixels[None] <= _GREYS[:, None, None]).mean(axis=1)
