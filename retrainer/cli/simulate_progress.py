"""The progress of a simulation, on a terminal."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import BarColumn, Progress, ProgressColumn, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.text import Text

from retrainer.util.timefmt import within

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from rich.console import Console
    from rich.progress import Task

    from retrainer.simulate.simulation import Reached


class _Pace(ProgressColumn):
    """Played events per second of real time, since the first one."""

    def render(self, task: Task) -> Text:
        events, took = task.fields["events"], task.elapsed or 0.0
        return Text(f"{events / took:,.0f} events/s" if events and took else "")


@contextmanager
def shown(console: Console, name: str) -> Iterator[Callable[[Reached], None]]:
    """Show a bar: while history is read it only moves, then it shows the played share of the time."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        _Pace(),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        reading = progress.add_task(f"{name}: reading", total=None, events=0)
        playing = progress.add_task(name, total=1.0, events=0, visible=False, start=False)

        def tell(reached: Reached) -> None:
            if not progress.tasks[playing].started:
                progress.update(reading, visible=False)
                progress.start_task(playing)
            said = f"{name}: {within(reached.at):%Y-%m-%d %H:%M}"
            progress.update(playing, completed=reached.share, description=said, events=reached.events, visible=True)

        yield tell
