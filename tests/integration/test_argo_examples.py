"""The page that lists Argo's examples says what the local engine does with them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.argo_examples.examples import ROOT, examples, folder
from tests.argo_examples.page import PAGE, page
from tests.argo_examples.trial import try_all

if TYPE_CHECKING:
    from pathlib import Path

NEEDS = re.compile(r"; needs .*")


def results(text: str) -> dict[str, str]:
    """Return the result of each example, by name."""
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", text, re.MULTILINE))


def agree(one: str, other: str) -> bool:
    """Whether two results are the same, but for programs that one of two machines lacks."""
    if one == other or not (NEEDS.search(one) or NEEDS.search(other)):
        return one == other
    one, other = (NEEDS.sub("", result) for result in (one, other))
    return one == other or not (one.startswith("refused") or other.startswith("refused"))


def test_the_page_of_argos_examples_is_what_the_engine_does(tmp_path: Path) -> None:
    found, listed = results(page(try_all(examples(folder()), tmp_path))), results((ROOT / PAGE).read_text())
    assert len(listed) > 200
    assert found.keys() == listed.keys(), "run `python -m tests.argo_examples`"
    differ = {name: (found[name], listed[name]) for name in listed if not agree(found[name], listed[name])}
    assert differ == {}, "run `python -m tests.argo_examples`"
