"""The study is repeatable and fair, and its page shows its results."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np
import pytest
from click.testing import CliRunner

from study.__main__ import PAGE, RULES, study
from study.chart import draw
from study.figures import cells, figures, markdown
from study.learner import held_out, train
from study.play import NEVER, Played, Retrain, play
from study.stream import BEFORE, HOURS, MIRRORED, RENUMBERED, ROTATED, batches, joined

if TYPE_CHECKING:
    from pathlib import Path

SHORT = ROTATED + 20


def test_the_page_says_what_is_found() -> None:
    stream = batches()
    found = [figures(play(rule, stream)) for rule in (NEVER, *RULES)]
    page = PAGE.read_text()
    assert markdown(found) in page, "run `make study`, and read whether the words are still true"
    told = page.partition("## What it teaches")[2]
    shown = {cell for one in found for cell in cells(one)}
    assert [share for share in re.findall(r"\d+\.\d %", told) if share not in shown] == []
    chart = PAGE.with_suffix(".svg").read_text()
    for one in found[1:]:
        assert f"{one.rule}: {one.retrains} retrains, {one.promoted} promoted, accuracy {cells(one)[5]}" in chart


def test_drift_is_answered_by_a_model_that_is_better_from_its_promotion_on() -> None:
    stream = batches(SHORT)
    never, drift = play(NEVER, stream), play("drift", stream)
    first = drift.retrains[0]
    assert (first.hour, first.reason, first.promoted) == (ROTATED + 1, "threshold", True)
    assert drift.accuracy[: ROTATED + 2] == never.accuracy[: ROTATED + 2]
    assert min(drift.accuracy[ROTATED + 2 :]) > max(never.accuracy[ROTATED + 2 :]) + 0.3
    assert drift.gpu_hours == 0.75 * len(drift.retrains)
    assert play("drift", stream) == drift


@pytest.mark.parametrize(
    ("rule", "hours"),
    [
        pytest.param("periodic", [3, 27, 51, 75], id="every night"),
        pytest.param("data", [13, 25, 37, 49, 61, 73], id="every 480 labels, which come faster by day"),
        pytest.param(
            "accuracy", [ROTATED + 1, ROTATED + 7.75], id="only once the model errs, and again as it still does"
        ),
    ],
)
def test_a_rule_retrains_when_its_file_says(rule: str, hours: list[float]) -> None:
    assert [retrain.hour for retrain in play(rule, batches(SHORT)).retrains] == hours


def test_no_image_stands_on_two_sides() -> None:
    stream = batches()
    served = set(joined([batch.served for batch in stream]).origin)
    labelled = joined([batch.labelled for batch in stream])
    judging = set(held_out(labelled).origin)
    trained = set(labelled.origin) - judging
    assert len(served) > 800
    assert len(judging) > 200
    assert not served & trained
    assert not served & judging


def test_what_is_held_out_teaches_nothing() -> None:
    images = joined([batch.labelled for batch in batches(0)])
    other = held_out(images)
    assert len(other)
    changed = np.where(np.isin(images.origin, other.origin)[:, None], 16 - images.pixels, images.pixels)
    assert np.array_equal(train(images).seen, train(type(images)(changed, images.digits, images.origin)).seen)


@pytest.mark.parametrize(
    ("hour", "looks", "means"),
    [
        pytest.param(ROTATED - 1, "as they are", "the same", id="before"),
        pytest.param(ROTATED, "rotated", "the same", id="sudden"),
        pytest.param(MIRRORED[1], "rotated and mirrored", "the same", id="after the gradual one"),
        pytest.param(RENUMBERED, "rotated and mirrored", "renumbered", id="what the inputs do not show"),
    ],
)
def test_drift_is_what_the_page_says(hour: int, looks: str, means: str) -> None:
    from sklearn.datasets import load_digits

    images = batches(hour + 1)[BEFORE + hour].served
    known = load_digits()
    square = known.data[images.origin].reshape(-1, 8, 8)
    square = np.rot90(square, axes=(1, 2)) if "rotated" in looks else square
    square = square[:, :, ::-1] if "mirrored" in looks else square
    assert np.array_equal(images.pixels, square.reshape(-1, 64))
    swapped = {1: 7, 7: 1, 3: 8, 8: 3} if means == "renumbered" else {}
    assert list(images.digits) == [swapped.get(digit, digit) for digit in known.target[images.origin]]


def test_the_chart_has_a_mark_for_each_retrain_and_is_the_same_each_time(tmp_path: Path) -> None:
    better, worse = Retrain(3.0, "schedule", promoted=True), Retrain(27.0, "schedule", promoted=False)
    never, rule = (
        Played(NEVER, (0.5,) * HOURS, (), 0.0),
        Played("nightly", (0.75,) * HOURS, (better, worse, worse), 2.25),
    )
    for name in ("one.svg", "other.svg"):
        draw(never, [rule, rule], tmp_path / name)
    drawn = (tmp_path / "one.svg").read_text()
    assert drawn == (tmp_path / "other.svg").read_text()
    assert drawn.count("nightly: 3 retrains, 1 promoted, accuracy 75.0 %") == 2
    marks = re.findall(r'<use xlink:href="#\w+" x="[\d.]+" y="[\d.]+" style="([^"]*stroke: #b3261e[^"]*)"', drawn)
    assert sum("fill: #ffffff" in mark for mark in marks) == 2 * 2 + 1
    assert sum("fill: #b3261e" in mark for mark in marks) == 2 * 1 + 1


def test_another_seed_is_no_page() -> None:
    answer = CliRunner().invoke(study, ["--seed", "1", "--write"])
    assert (answer.exit_code, "--write" in answer.output) == (2, True)
