"""Replaying a history to the rules that made it gives the same decisions, runs and slots, in all details."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from retrainer.simulate.history import open_history
from retrainer.simulate.player import Player
from tests.unit.simulate.live import Live, decided, rules_in

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("seed", range(12))
def test_what_was_lived_through_is_decided_again(tmp_path: Path, seed: int) -> None:
    configuration = rules_in(tmp_path)
    live = Live(tmp_path / "live.db", configuration, seed)
    live.live(250)
    lived = decided(live.store)
    live.close()
    player = Player(configuration, open_history(str(tmp_path / "live.db")), run_duration=3600.0)
    player.play()
    played = decided(player.world.store)
    player.world.close()
    assert len(lived["runs"]) > 5
    for what, known in lived.items():
        assert played[what] == known, what
