"""Write docs/reference/argo-examples.md: `python -m tests.argo_examples`. With a name: print that example's outcome."""

from __future__ import annotations

import logging
import sys
import tempfile
from pathlib import Path

import structlog

from tests.argo_examples.examples import ROOT, examples, folder
from tests.argo_examples.page import PAGE, page
from tests.argo_examples.refused import fields
from tests.argo_examples.trial import try_all


def main() -> None:
    """Try all examples, or those whose name begins with the argument."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    chosen = [one for one in examples(folder()) if one.name.startswith(tuple(sys.argv[1:]) or "")]
    with tempfile.TemporaryDirectory() as home:
        trials = try_all(chosen, Path(home))
    if sys.argv[1:]:
        for trial in trials:
            sys.stdout.write(f"{trial.example.name}: {trial.lacks} {trial.refused} {trial.ends}\n")
        return
    (ROOT / PAGE).write_text(page(trials))
    sys.stdout.write(fields(trials))


if __name__ == "__main__":
    main()
