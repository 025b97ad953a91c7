"""JSON Schemas for editors, the API's description, and the reference of the rule language."""

from __future__ import annotations

from typing import Any

import click
import orjson

from retrainer.config.reference import reference
from retrainer.config.schema import rules_schema, settings_schema


@click.command()
@click.argument("what", type=click.Choice(["rules", "tests", "settings", "api", "reference"]), default="rules")
@click.option("-o", "--output", type=click.Choice(["json"]), default="json", expose_value=False, help="Output format.")
def schema(what: str) -> None:
    """Print a JSON Schema for editors, the API's description, or the reference of the rule language.

    `rules` (the default) is for rule files, `tests` for files of `retrainer test`, `settings` for retrainer.yaml, `api`
    is OpenAPI, `reference` is Markdown.

    Example: retrainer schema settings
    """
    if what == "reference":
        click.echo(reference())
        return
    click.echo(orjson.dumps(_schema(what), option=orjson.OPT_INDENT_2))


def _schema(what: str) -> dict[str, Any]:
    if what == "api":
        from retrainer.api.app import openapi  # noqa: PLC0415 - the import takes half a second

        return openapi()
    if what == "tests":
        from retrainer.simulate.casefile import cases_schema  # noqa: PLC0415 - as above

        return cases_schema()
    return rules_schema() if what == "rules" else settings_schema()
