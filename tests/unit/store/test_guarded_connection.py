"""How long a connection waits for a silent server."""

from __future__ import annotations

import pytest

from retrainer.store.guarded_connection import SHORT, ReadTimeout, ServerHealth


@pytest.mark.parametrize(
    ("seconds", "lost", "waited", "over"),
    [
        pytest.param(10, False, 9.9, False, id="less than there is patience"),
        pytest.param(10, False, 10.0, True, id="as long as there is patience"),
        pytest.param(10, True, SHORT, True, id="the last one was silent, so less is borne"),
        pytest.param(10, True, SHORT - 0.1, False, id="but something"),
        pytest.param(1, True, 1.0, True, id="less than that is all there is"),
        pytest.param(None, False, 1e9, False, id="for ever, while a migration lasts"),
        pytest.param(None, True, 1e9, False, id="for ever, whatever was before"),
    ],
)
def test_a_silence_is_borne_for_as_long_as_there_is_patience(
    seconds: float | None, lost: bool, waited: float, over: bool
) -> None:
    assert ReadTimeout(ServerHealth(lost), seconds).is_over(waited) is over
