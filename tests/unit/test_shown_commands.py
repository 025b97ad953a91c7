"""Each command in the documents exists and takes the options shown."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import click
import pytest

from retrainer.cli.main import main

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
_BLOCK = re.compile(r"^```(?:sh|console)\n(.*?)^```", re.DOTALL | re.MULTILINE)
_TYPED = re.compile(r"^(?:\$ )?(?:\.venv/bin/)?(retrainer .*)$", re.MULTILINE)


def _shown(page: Path) -> list[str]:
    """Command lines of a page. A line that ends in a backslash is continued."""
    blocks = (block.replace("\\\n", " ") for block in _BLOCK.findall(page.read_text()))
    return [line for block in blocks for line in _TYPED.findall(block)]


def _words(line: str) -> list[str]:
    """The words of one command, without pipes and redirections."""
    read = shlex.shlex(line, posix=True, punctuation_chars=True)
    read.whitespace_split = True
    words = []
    for word in read:
        if set(word) <= set("();<>|&"):
            break
        words.append(word)
    return words[1:]


def wrong(line: str) -> str:
    """Return what is wrong with a command, empty if nothing."""
    command: click.Command = main
    context = click.Context(main)
    words = _words(line)
    options = {name for parameter in main.params for name in parameter.opts}
    while isinstance(command, click.Group):
        if words and words[0] in ("--version", "--help"):
            return ""
        while words and words[0].startswith("-"):
            words = words[2:]
        found = command.get_command(context, words[0]) if words else None
        if found is None:
            return f"no command {' '.join(words[:1])!r}"
        command, words = found, words[1:]
        options |= {name for parameter in command.get_params(context) for name in parameter.opts}
    unknown = [word.split("=")[0] for word in words if re.match(r"--?[a-z]", word)]
    return ", ".join(f"no option {word}" for word in unknown if word not in options)


@pytest.mark.parametrize("page", [pytest.param(p, id=str(p.relative_to(ROOT))) for p in PAGES if _shown(p)])
def test_what_is_shown_can_be_typed(page: Path) -> None:
    assert {line: what for line in _shown(page) if (what := wrong(line))} == {}


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("retrainer runs list --rule churn | head", ""),
        ("retrainer --version", ""),
        ("retrainer --url http://localhost:1", "no command ''"),
        ("retrainer -o json runs show ID", ""),
        ("retrainer rnus list", "no command 'rnus'"),
        ("retrainer validate --clutser", "no option --clutser"),
        ("retrainer completion bash > file", ""),
    ],
)
def test_mistakes_are_found(line: str, what: str) -> None:
    assert wrong(line) == what
