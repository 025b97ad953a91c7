"""The page that lists Argo's examples says what the local engine does with them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.argo_examples.examples import ROOT, examples, folder
from tests.argo_examples.page import PAGE, page
from tests.argo_examples.trial import try_all

if TYPE_CHECKING:
    from pathlib import Path


def test_the_page_of_argos_examples_is_what_the_engine_does(tmp_path: Path) -> None:
    written = page(try_all(examples(folder()), tmp_path)).splitlines()
    committed = (ROOT / PAGE).read_text().splitlines()
    assert written == committed, "run `python -m tests.argo_examples`"
