"""A thinned line has few points, and all of its peaks."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from retrainer.util.thinning import MOST_POINTS, Thinned

SINCE, UNTIL = 1_000.0, 87_400.0
VALUES = st.one_of(st.none(), st.floats(-1e9, 1e9))
LINES = st.lists(st.tuples(st.floats(SINCE, UNTIL), VALUES), min_size=1, max_size=100)
LONG = st.builds(
    lambda count, some: [(SINCE + place * 20, some[place * place % len(some)]) for place in range(count)],
    st.integers(MOST_POINTS + 1, 4_000),
    st.lists(VALUES, min_size=1, max_size=50),
)


def thinned(points: list[tuple[float, float | None]]) -> list[tuple[float, float | None]]:
    line = Thinned(SINCE, UNTIL)
    for at, value in points:
        line.add(at, value)
    return line.points()


def values(points: list[tuple[float, float | None]]) -> list[float]:
    return [value for _, value in points if value is not None]


@given(LINES | LONG)
def test_no_peak_is_lost_and_nothing_is_invented(points: list[tuple[float, float | None]]) -> None:
    found = thinned(points)
    assert len(found) <= MOST_POINTS
    assert set(found) <= set(points)
    assert [at for at, _ in found] == sorted(at for at, _ in found)
    times = [at for at, _ in points]
    assert (found[0][0], found[-1][0]) == (min(times), max(times))
    assert (None in {value for _, value in found}) == (None in {value for _, value in points})
    if values(points):
        assert max(values(found)) == max(values(points))
        assert min(values(found)) == min(values(points))


@given(st.lists(st.integers(0, 4_999), min_size=1, max_size=8, unique=True))
def test_a_day_of_5_000_samples_keeps_each_spike(spikes: list[int]) -> None:
    step = (UNTIL - SINCE) / 5_000
    points = [(SINCE + place * step, 1.0 + place if place in spikes else 0.0) for place in range(5_000)]
    found = thinned([(at, value) for at, value in points])
    assert len(found) <= MOST_POINTS
    width = (UNTIL - SINCE) / 166
    for place in spikes:
        near = [other for other in spikes if abs(other - place) * step <= width and other > place]
        assert near or points[place] in found


def test_a_short_line_is_kept_whole() -> None:
    points: list[tuple[float, float | None]] = [(SINCE + 0.1 * place, float(place % 7)) for place in range(MOST_POINTS)]
    assert thinned(points[::-1]) == points
