"""/readyz answers from named checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.daemon.health import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable


def broken() -> str:
    raise OSError("no such file")


@pytest.mark.parametrize(
    ("checks", "reasons"),
    [
        pytest.param({}, [], id="without checks it is ready"),
        pytest.param({"store": lambda: ""}, [], id="a check that passes adds no reason"),
        pytest.param({"store": lambda: "it is gone"}, ["store: it is gone"], id="a reason has the name of its check"),
        pytest.param(
            {"lead": lambda: "lost", "queue": lambda: "", "store": lambda: "gone"},
            ["lead: lost", "store: gone"],
            id="all reasons are told, in the order of the checks",
        ),
        pytest.param({"store": broken}, ["store: OSError: no such file"], id="a check that raises fails"),
    ],
)
def test_reasons(checks: dict[str, Callable[[], str]], reasons: list[str]) -> None:
    readiness = Readiness()
    for name, check in checks.items():
        readiness.add(name, check)
    assert readiness.reasons() == reasons


def test_a_check_is_replaced_and_removed_by_its_name() -> None:
    readiness = Readiness()
    readiness.add("store", lambda: "gone")
    readiness.add("store", lambda: "broken")
    assert readiness.reasons() == ["store: broken"]
    readiness.remove("store")
    readiness.remove("never added")
    assert readiness.reasons() == []
