from __future__ import annotations

import pytest

from retrainer.simulate.notation import Gap, Value, read

MISSING, ERROR = Gap.MISSING, Gap.ERROR


@pytest.mark.parametrize(
    ("text", "values"),
    [
        pytest.param("0.3", [0.3], id="one value"),
        pytest.param("0x2 0.3x3 _x2", [0, 0, 0.3, 0.3, 0.3, MISSING, MISSING], id="so many times, then nothing"),
        pytest.param("0.1+0.1x4", [0.1, 0.2, 0.3, 0.4], id="rising, without the dust of binary sums"),
        pytest.param("1-0.5x4", [1, 0.5, 0, -0.5], id="falling through naught"),
        pytest.param("-1 NaN error .5", [-1, None, ERROR, 0.5], id="what is no number"),
        pytest.param("7x0 1", [1], id="not once"),
    ],
)
def test_values(text: str, values: list[Value]) -> None:
    assert read(text) == values


@pytest.mark.parametrize("text", ["", "  ", "x3", "0.3x", "zz", "1e5", "_+1x3", "1x10000000", "1x600000 1x600000"])
def test_what_is_none_is_refused_with_the_way_out(text: str) -> None:
    with pytest.raises(ValueError, match=r": (write|only)"):
        read(text)
