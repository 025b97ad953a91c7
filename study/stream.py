"""The stream: scikit-learn's digits, one batch an hour for two weeks, with three drifts at known hours."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from sklearn.datasets import load_digits

if TYPE_CHECKING:
    from collections.abc import Sequence

START = datetime(2026, 3, 2, tzinfo=UTC).timestamp()
"""A Monday."""
HOUR = 3600.0
HOURS = 336
ROTATED = 64
"""From this hour on, images are rotated by 90 degrees."""
MIRRORED = (120, 168)
"""From the first hour on some images are mirrored, from the second on all."""
RENUMBERED = 271
"""From this hour on the labels 1 and 7, and 3 and 8, are exchanged. The images look as before."""
BEFORE = 20
"""Hours of labels that exist before the start."""
SERVED = 40
"""Images an hour that the model in use classifies."""
BY_DAY, BY_NIGHT = 60, 20
"""Number of labels that arrive in an hour."""
SEED = 20260302
_SWAPPED = np.array([0, 7, 2, 8, 4, 5, 6, 1, 3, 9])


@dataclass(frozen=True, slots=True)
class Images:
    """``pixels`` is n by 64, from 0 to 16. ``digits`` are the labels, ``origin`` the indices in scikit-learn's data."""

    pixels: np.ndarray
    digits: np.ndarray
    origin: np.ndarray

    def __len__(self) -> int:
        return len(self.digits)

    def only(self, mask: np.ndarray) -> Images:
        return Images(self.pixels[mask], self.digits[mask], self.origin[mask])

    def last(self, rows: int) -> Images:
        return Images(self.pixels[-rows:], self.digits[-rows:], self.origin[-rows:])


class Batch(NamedTuple):
    """The data of one hour: images to classify, and other images with their labels."""

    hour: int
    served: Images
    labelled: Images

    @property
    def at(self) -> float:
        """Seconds since the epoch."""
        return START + self.hour * HOUR


def batches(hours: int = HOURS, seed: int = SEED) -> list[Batch]:
    """All batches from BEFORE the start up to ``hours`` after it. The same seed gives the same batches."""
    source = load_digits()
    pixels, digits = source.data.astype(np.int64), source.target
    dice = np.random.default_rng(seed)
    order = dice.permutation(len(digits))
    asked, taught = order[: len(order) // 2], order[len(order) // 2 :]
    found = []
    for hour in range(-BEFORE, hours):
        labels = BY_DAY if 8 <= hour % 24 < 20 else BY_NIGHT
        drawn = [dice.choice(asked, SERVED), dice.choice(taught, labels)]
        served, labelled = (_seen(Images(pixels[i], digits[i], i), hour, dice) for i in drawn)
        found.append(Batch(hour, served, labelled))
    return found


def joined(parts: Sequence[Images]) -> Images:
    return Images(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.digits for part in parts]),
        np.concatenate([part.origin for part in parts]),
    )


def mirrored_share(hour: int) -> float:
    """The share of an hour's images that are mirrored, from 0 to 1."""
    begin, end = MIRRORED
    return min(max((hour - begin) / (end - begin), 0.0), 1.0)


def _seen(images: Images, hour: int, dice: np.random.Generator) -> Images:
    """Images and labels after the drifts of an hour."""
    square = images.pixels.reshape(-1, 8, 8)
    if hour >= ROTATED:
        square = np.rot90(square, axes=(1, 2))
    mirror = dice.random(len(images)) < mirrored_share(hour)
    square = np.where(mirror[:, None, None], square[:, :, ::-1], square)
    digits = _SWAPPED[images.digits] if hour >= RENUMBERED else images.digits
    return Images(square.reshape(-1, 64), digits, images.origin)
