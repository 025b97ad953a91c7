"""The grammars of bad events and of edits are repeatable, and never hit a judged rule."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest

from tests.soak.edits import BAD_FILE, EDITS, edit, mended
from tests.soak.poison import EVENTS, HOOKS, TOPICS, bad_event
from tests.soak.rules import FILES, JUDGED_FILE, RULES, files, sources

if TYPE_CHECKING:
    from tests.soak.poison import Bad

COUNT = 400


@pytest.fixture(scope="module")
def drawn() -> list[Bad]:
    chance = random.Random(1)
    return [bad_event(chance) for _ in range(COUNT)]


def test_the_same_seed_gives_the_same_poison(drawn: list[Bad]) -> None:
    chance = random.Random(1)
    assert [bad_event(chance) for _ in range(200)] == drawn[:200]


def test_every_kind_is_drawn_and_goes_where_somebody_listens(drawn: list[Bad]) -> None:
    assert {bad.what for bad in drawn} == set(EVENTS)
    assert {bad.road for bad in drawn} == {*HOOKS, *TOPICS}
    assert all(bad.body is not None for bad in drawn if bad.road in HOOKS)


def test_headers_are_what_a_client_can_send(drawn: list[Bad]) -> None:
    for bad in drawn:
        assert all(f"{name}: {value}".isascii() and "\n" not in value for name, value in bad.headers.items())


def test_no_poison_looks_like_an_event_that_is_judged(drawn: list[Bad]) -> None:
    """Judged events have a group, and their model starts with m-."""
    for bad in drawn:
        assert b'"group"' not in (bad.body or b"")
        assert b'"m-' not in (bad.body or b"")


def test_the_same_seed_gives_the_same_edits_and_they_leave_the_judged_rules_alone() -> None:
    first, again = random.Random(3), random.Random(3)
    edits = [edit(first, n) for n in range(100)]
    assert edits == [edit(again, n) for n in range(100)]
    assert {one.what for one in edits} == set(EDITS)
    assert {one.file for one in edits} == {BAD_FILE, *FILES}


def test_what_is_mended_is_as_it_was_at_first() -> None:
    at_first = files(sources("k:1", "http://m", "http://p", "http://r"))
    mend = {one.file: one.text for one in mended()}
    assert mend.pop(BAD_FILE) is None
    assert mend == {name: at_first[name] for name in FILES}
    assert sum(len(json.loads(at_first[name])["rules"]) for name in (*FILES, JUDGED_FILE)) == RULES
