"""Edits of rule files: change, add, remove, break and repair rules. Deterministic for a given random state."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.soak.poison import POISON
from tests.soak.rules import FILES, crowd, file_text

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Mapping

BAD_FILE = "bad.yaml"


@dataclass(frozen=True, slots=True)
class Edit:
    """Write this text to a file of the rules' folder, or delete the file if there is no text."""

    what: str
    file: str
    text: str | None


def edit(chance: random.Random, number: int) -> Edit:
    """Return the next edit; ``number`` makes its names unique."""
    what = chance.choice(sorted(EDITS))
    return EDITS[what](what, chance, number)


def mended() -> list[Edit]:
    """All files with their original contents."""
    crowded = [Edit("mend", name, file_text(rules)) for name, rules in zip(FILES, crowd(), strict=True)]
    return [Edit("mend", BAD_FILE, None), *crowded]


def _file(chance: random.Random) -> tuple[str, list[dict[str, Any]]]:
    number = chance.randrange(len(FILES))
    return FILES[number], crowd()[number]


def _change(what: str, chance: random.Random, number: int) -> Edit:
    name, rules = _file(chance)
    for rule in chance.sample(rules, 5):
        rule["description"] = f"edited {number}"
        rule["limits"] = {"cooldown": {"period": f"{chance.randrange(1, 600)}s"}}
        for trigger in rule["triggers"].values():
            if "data" in trigger:
                trigger["data"]["batch"] = {"at_least": {"events": chance.randrange(2, 100)}, "max_wait": "2m"}
    return Edit(what, name, file_text(rules))


def _other_meaning(what: str, chance: random.Random, number: int) -> Edit:
    """An edit that invalidates the stored state of the rule."""
    name, rules = _file(chance)
    for rule in chance.sample(rules, 3):
        rule["triggers"] = {"other": {"freshness": {"max_age": f"{chance.randrange(1, 365)}d"}}}
    return Edit(what, name, file_text(rules))


def _add(what: str, chance: random.Random, number: int) -> Edit:
    name, rules = _file(chance)
    fresh = {**rules[0], "name": f"added-{number}"}
    return Edit(what, name, file_text([*rules[1:], fresh]))


def _remove(what: str, chance: random.Random, number: int) -> Edit:
    name, rules = _file(chance)
    chance.shuffle(rules)
    return Edit(what, name, file_text(rules[chance.randrange(1, 5) :]))


def _remove_file(what: str, chance: random.Random, number: int) -> Edit:
    return Edit(what, chance.choice(FILES), None)


def _half(what: str, chance: random.Random, number: int) -> Edit:
    """A half-written file, as a concurrent reader sees it."""
    name, rules = _file(chance)
    text = file_text(rules)
    return Edit(what, name, text[: chance.randrange(1, len(text))])


def _bad_rule(what: str, chance: random.Random, number: int) -> Edit:
    """A rule that `validate` rejects, or one whose fault it cannot detect."""
    rule = victim(f"bad-{number}")
    chance.choice(BAD_RULES)(rule, chance)
    return Edit(what, BAD_FILE, file_text([rule]))


def _bad_file(what: str, chance: random.Random, number: int) -> Edit:
    texts = (
        "rules: [" * 500,
        "[" * 20_000,
        "version: 1\nrules:\n\t- name: tab\n",
        "version: 1\nversion: 1\nrules: []\n",
        "version: 2\nrules: []\n",
        "version: 1\nrules: &a [*a]\n",
        "version: 1\nrules: {}\n",
        "\x00\x01\x02",
        "version: 1\nnothing: true\nrules: []\n",
        "version: 1\nrules: [{name: push-0}]\n",
        file_text([victim("push-0")]),
        "version: 1\nsources: {push: {type: webhook, path: /hooks/push}}\nrules: []\n",
    )
    return Edit(what, BAD_FILE, chance.choice(texts))


def victim(name: str) -> dict[str, Any]:
    """A rule that matches poison and starts at most one run a minute."""
    return {
        "name": name,
        "triggers": {"bad": {"data": {"source": "push", "match": {"model": POISON}}}},
        "limits": {"cooldown": {"period": "1m"}, "overlap": "skip"},
        "submit": {"workflow_template": "nothing", "parameters": {"took": "[]"}},
    }


def _data(rule: dict[str, Any], **fields: Any) -> None:
    rule["triggers"]["bad"]["data"].update(fields)


def _parameter(rule: dict[str, Any], text: str) -> None:
    rule["submit"]["parameters"]["took"] = text


QUADRATIC = "${events.filter(e, events.exists(f, f.id == e.id)).size()}"
CHANGES: tuple[Callable[[dict[str, Any]], None], ...] = (
    # Must be rejected.
    lambda rule: _data(rule, match={"key": "run[2024-2023]/*"}),
    lambda rule: _data(rule, match={"key": "[!z-a]"}),
    lambda rule: _data(rule, batch={"max_wait": "110000d"}),
    lambda rule: _data(rule, where="nosuchfn(1)"),
    lambda rule: _data(rule, where="event.data.n.matches('(a*)*$')" + " " * 3_000),
    lambda rule: rule["submit"].update(retry={"limit": 99, "backoff": {"factor": 100_000_000}}),
    lambda rule: rule["limits"].update(cooldown={"period": "9999999d"}),
    lambda rule: rule["triggers"].update(never={"schedule": {"cron": "0 0 30 2 *"}}),
    lambda rule: rule["triggers"].update(old={"freshness": {"max_age": "9999999d"}}),
    lambda rule: rule["triggers"].update(after={"after": {"rule": rule["name"]}}),
    lambda rule: rule.update(name="n" * 300),
    lambda rule: rule.update(labels={"a": None}),
    lambda rule: _parameter(rule, "${key}"),
    lambda rule: _parameter(rule, "${" + "(" * 100 + "1" + ")" * 100 + "}"),
    # Valid, but fails at the first event.
    lambda rule: _data(rule, where="event.data.n > 10"),
    lambda rule: _data(rule, where="event.data.list.exists(a, event.data.list.exists(b, a == b))"),
    lambda rule: _data(rule, where='event.data.text.matches("(?:[a-z]{0,50}[-_]?){0,20}$")'),
    lambda rule: _data(rule, match={"model": "*_*_*_*_*"}),
    lambda rule: _data(rule, distinct_by="event.data.n"),
    lambda rule: _data(rule, rows="event.data.rows"),
    lambda rule: _parameter(rule, "${events[0].data.missing.more}"),
    lambda rule: _parameter(rule, "${string(events.map(e, e.data))}"),
    lambda rule: _parameter(rule, QUADRATIC),
    lambda rule: _parameter(rule, "${[duration('1h')]}"),
    lambda rule: _parameter(rule, "${{1: 2}}"),
    lambda rule: rule.update(for_each={"by": {"bad": "event.data.n"}, "max_keys": 5}),
    lambda rule: rule["submit"].update(workflow_template="none-of-this-name"),
)
BAD_RULES: tuple[Callable[[dict[str, Any], random.Random], None], ...] = (
    lambda rule, chance: chance.choice(CHANGES)(rule),
    lambda rule, chance: [change(rule) for change in chance.sample(CHANGES, 2)] and None,
)
EDITS: Mapping[str, Callable[[str, random.Random, int], Edit]] = {
    "change": _change,
    "change what is remembered": _other_meaning,
    "add": _add,
    "remove": _remove,
    "remove a file": _remove_file,
    "half a file": _half,
    "a bad rule": _bad_rule,
    "a bad file": _bad_file,
}


def shown(one: Edit) -> str:
    """The edit as a line of the log."""
    return json.dumps({"edit": one.what, "file": one.file, "bytes": None if one.text is None else len(one.text)})
