"""Chart of the accuracy under each rule, hour by hour, with a mark for each retrain."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from study.figures import figures
from study.stream import HOURS, MIRRORED, RENUMBERED, ROTATED

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from study.play import Played

_STYLE = {"svg.hashsalt": "study", "svg.fonttype": "none", "font.family": "sans-serif", "font.size": 9.5}
_LINE, _NEVER, _DRIFT, _MARK = "#1f5fa8", "#9a9a9a", "#f3d9b1", "#b3261e"
_MARKS_AT = 0.04


def draw(never: Played, rules: Sequence[Played], path: Path) -> None:
    """Write the chart as SVG. The same figures give the same file."""
    with rc_context(_STYLE):
        figure = Figure(figsize=(10, 1.55 * len(rules) + 1.1), layout="constrained", facecolor="white")
        panels = figure.subplots(len(rules), sharex=True, sharey=True)
        for panel, played in zip(panels, rules, strict=True):
            _panel(panel, never, played)
        _name_drifts(panels[0])
        figure.legend(handles=_legend(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)
        panels[-1].set_xlabel("day")
        panels[-1].set_xticks(range(0, HOURS + 1, 24), range(HOURS // 24 + 1))
        figure.supylabel("accuracy of the model in use", fontsize=9.5)
        figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})


def _legend() -> list[Line2D]:
    mark: dict[str, Any] = {"ls": "", "marker": "^", "ms": 6, "mec": _MARK}
    return [
        Line2D([], [], color=_LINE, lw=1.1, label="model in use"),
        Line2D([], [], color=_NEVER, lw=0.8, label="never retrained"),
        Line2D([], [], **mark, mfc=_MARK, label="retrain, promoted"),
        Line2D([], [], **mark, mfc="white", label="retrain, not better"),
    ]


def _panel(panel: Any, never: Played, played: Played) -> None:
    panel.axvspan(*MIRRORED, color=_DRIFT, lw=0)
    for hour in (ROTATED, RENUMBERED):
        panel.axvline(hour, color="#d08a1d", lw=1.5)
    panel.plot(never.accuracy, color=_NEVER, lw=0.8)
    panel.plot(played.accuracy, color=_LINE, lw=1.1)
    for promoted in (True, False):
        hours = [retrain.hour for retrain in played.retrains if retrain.promoted == promoted]
        face = _MARK if promoted else "white"
        panel.plot(hours, [_MARKS_AT] * len(hours), "^", ms=6, mfc=face, mec=_MARK, mew=0.9, clip_on=False)
    one = figures(played)
    told = f"{one.rule}: {one.retrains} retrains, {one.promoted} promoted, accuracy {100 * one.accuracy:.1f} %"
    panel.set_title(told, loc="left", fontsize=9.5, pad=3)
    panel.set_ylim(0, 1.02)
    panel.set_xlim(0, HOURS)
    panel.set_yticks([0, 0.5, 1], ["0", "50 %", "100 %"])
    panel.spines[["top", "right"]].set_visible(False)


def _name_drifts(panel: Any) -> None:
    middle = sum(MIRRORED) / 2
    for hour, name in ((ROTATED, "rotated"), (middle, "more and more mirrored"), (RENUMBERED, "renumbered")):
        panel.annotate(name, (hour, 1.0), (hour, 1.22), xycoords=("data", "axes fraction"), ha="center", fontsize=9)
