"""The runner of the local engine with the time of a story, which is in a file."""

import os
from pathlib import Path

from retrainer.util.clock import SystemClock
from retrainer.workflows.local.runner import main

if __name__ == "__main__":
    time = Path(os.environ["STORY_TIME"])
    SystemClock.now = lambda _: float(time.read_text())  # type: ignore[method-assign]
    main()
