"""`python -m study`: simulate each rule on the stream, and print the results."""

from __future__ import annotations

import json
import re
from pathlib import Path

import click

from retrainer.cli import show
from study.chart import draw
from study.figures import HEADERS, as_json, cells, figures, markdown
from study.play import NEVER, play
from study.stream import SEED, batches

RULES = ("periodic", "data", "drift", "drift-or-age", "accuracy")
PAGE = Path(__file__).parents[1] / "docs/concepts/study.md"
_TABLE = re.compile(r"(?<=<!-- make study -->\n).*?(?=<!-- end -->)", re.DOTALL)


@click.command()
@click.option("-o", "--output", type=click.Choice(["table", "json"]), default="table", help="How it is printed.")
@click.option("--write", is_flag=True, help="Write the chart and the table of docs/concepts/study.md anew.")
@click.option("--seed", type=int, default=SEED, show_default=True, help="Draw the stream anew.")
def study(output: str, write: bool, seed: int) -> None:
    """Play one stream with known drift to a periodic, a data and three drift rules, each with a real model."""
    if write and seed != SEED:
        raise click.UsageError("the page is about the one seed of the study: take --seed or --write away")
    stream = batches(seed=seed)
    played = [play(rule, stream) for rule in (NEVER, *RULES)]
    if output == "json":
        click.echo(json.dumps([as_json(one) for one in played], indent=2))
    else:
        show.table(show.console(), [h.upper() for h in HEADERS], [cells(figures(one)) for one in played], "")
    if write:
        draw(played[0], played[1:], PAGE.with_suffix(".svg"))
        table = markdown(map(figures, played))
        PAGE.write_text(_TABLE.sub(lambda _: table, PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    study()
