"""The text of rules: as it stands in their files, as it was for earlier revisions, and what a changed text would do."""

from __future__ import annotations

import re
import threading
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from retrainer.config.draft import check_draft, draft_of_file, draft_of_rule, too_long
from retrainer.config.errors import cut, shown
from retrainer.config.load import namespaces_of
from retrainer.config.rule_text import place_of, texts
from retrainer.config.teams import team
from retrainer.rules.compile import compile_rule
from retrainer.rules.lint import lint
from retrainer.rules.state_fingerprint import dropped, meanings
from retrainer.sources.replay import Busy
from retrainer.store import rule_texts
from retrainer.telemetry.secrets import SECRETS
from retrainer.workflows.rule_advice import advice_on_workflow

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from retrainer.api.context import ApiContext
    from retrainer.config.configuration import Configuration
    from retrainer.config.draft import Draft
    from retrainer.config.errors import Problem
    from retrainer.store.rule_texts import KeptText
    from retrainer.store.scope import Scope

WAIT = 5.0
"""Seconds that a check waits for another one."""
_ONE_AT_A_TIME = threading.Lock()
NEW_FILE = "new.yaml"
_DEFAULTS = re.compile(r"^defaults:", re.MULTILINE)


def source(api: ApiContext, sees: Scope, rule: str, revision: str | None) -> dict[str, Any]:
    """Return the text of a rule, by default the one in force. Raise LookupError if it is unknown or not kept."""
    loaded = api.loaded()
    if rule not in loaded.configuration.revisions:
        raise LookupError(f"there is no rule {rule!r}")
    current = loaded.configuration.rule_revision(rule)
    past = api.read(rule_texts.kept, rule)
    text = _in_force(api, sees, rule) if revision in (None, current) else _kept(rule, revision or "", past)
    return text | {"rule": rule, "in_force": text["revision"] == current, "revisions": _revisions(current, past)}


def _in_force(api: ApiContext, sees: Scope, rule: str) -> dict[str, Any]:
    loaded = api.loaded()
    shared = sees.namespaces is not None and team(place_of(loaded.configuration, rule).file) not in sees.namespaces
    found = dict(texts(loaded.configuration, loaded.files, [rule], own=shared))
    if rule not in found and shared:
        raise LookupError(f"the text of {rule} is not shown: its file is of all teams, and it has no lines of its own")
    if rule not in found:
        raise LookupError(f"the text of {rule} is not known: its file is read again at the next reload")
    text, problems = found[rule], [problem for problem in loaded.problems if problem.file == found[rule].file]
    return {
        "revision": loaded.configuration.rule_revision(rule),
        "file": shown(text.file),
        "line": text.first,
        "text": SECRETS.mask(text.text),
        "inherits": list(_inherits(loaded.configuration, rule, text.text, loaded.files[text.file])),
        "problems": [finding(problem) for problem in problems],
    }


def _inherits(configuration: Configuration, rule: str, text: str, whole: str) -> Iterator[str]:
    """Yield where fields of the rule come from that are not in its text."""
    defaults = _DEFAULTS.search(whole)
    if defaults is not None:
        yield f"`defaults` of the file, from line {whole.count(chr(10), 0, defaults.start()) + 1} on"
    indent = place_of(configuration, rule).column - 1
    named = re.search(rf"^(?: {{{indent}}}| *- )template: *[\"']?([\w-]+)", text, re.MULTILINE)
    place = configuration.positions.get(f"templates.{named[1]}") if named is not None else None
    if named is not None and place is not None:
        yield f"the template `{named[1]}`, at {shown(place)}"


def _kept(rule: str, revision: str, past: list[KeptText]) -> dict[str, Any]:
    for one in past:
        if one.revision == revision:
            return {
                "revision": one.revision,
                "file": shown(one.file),
                "line": one.line,
                "text": one.text,
                "inherits": [],
                "problems": [],
            }
    raise LookupError(
        f"the text of revision {revision!r} of {rule} is not kept: only those of its last {rule_texts.MOST} revisions "
        f"are, of at most {rule_texts.LONGEST} characters each"
    )


def _revisions(current: str, past: list[KeptText]) -> list[dict[str, Any]]:
    return [{"revision": one.revision, "since": one.at, "in_force": one.revision == current} for one in past]


def validate(api: ApiContext, sees: Scope, text: str, rule: str | None, file: str | None) -> dict[str, Any]:
    """Check a text in place of a rule, or of a file. Raise LookupError for an unknown rule, Busy while another is."""
    if (problem := too_long(text)) is not None:
        return _answer([problem])
    loaded = api.loaded()
    draft = draft_of_rule(loaded, rule, text) if rule is not None else draft_of_file(_file(sees, file), text)
    if not _ONE_AT_A_TIME.acquire(timeout=WAIT):
        raise Busy("another text is being checked: send it again in a moment")
    try:
        answer = _validate(api, draft, _visible(sees))
    finally:
        _ONE_AT_A_TIME.release()
    if rule is not None:  # the other rules of its file were left out, so its number is not that in the file
        for one in answer["findings"]:
            one["path"] = one["path"].removeprefix("rules[0]").removeprefix(".")
    return answer


def _file(sees: Scope, given: str | None) -> str:
    """Return the file that a text stands for. A caller of some namespaces writes files of a team only."""
    if sees.namespaces is None:
        return str(Path(given).absolute()) if given and team(given) is None else given or NEW_FILE
    if given is not None and team(given) in sees.namespaces:
        return given
    return f"configmap:{min(sees.namespaces, default='default')}/{NEW_FILE}"


def _visible(sees: Scope) -> Callable[[str, str], bool] | None:
    """Return what a text may refer to: what the caller sees, and what the platform defines for all."""
    if sees.namespaces is None:
        return None
    own = {None, *sees.namespaces}

    def visible(name: str, file: str) -> bool:
        section, _, called = name.partition(".")
        seen = {"rules": sees.has_rule, "sources": sees.has_source}.get(section)
        return seen(called) if seen is not None else team(file) in own

    return visible


def _validate(api: ApiContext, draft: Draft, visible: Callable[[str, str], bool] | None) -> dict[str, Any]:
    found, problems = check_draft(api.loaded(), draft, namespaces_of(api.settings), visible)
    if problems:
        return _answer(problems)
    rules = [rule.name for rule in found.rules]
    catalog, old = api.engine.catalog, api.loaded().configuration
    known = {name for name in rules if name in old.revisions and (visible is None or visible(f"rules.{name}", ""))}
    changed = [name for name in rules if name not in known or found.revisions[name] != old.revisions[name]]
    lost = [
        asdict(one)
        for rule in found.rules
        if rule.name in changed and rule.name in known and rule.name in catalog.rules
        for one in dropped(rule.name, meanings(catalog.rules[rule.name].rule), meanings(rule))
    ]
    advice = list(_advice(api, found, visible))
    return {"valid": True, "findings": [], "advice": advice, "rules": rules, "changed": changed, "dropped": lost}


def _answer(problems: list[Problem]) -> dict[str, Any]:
    return {
        "valid": False,
        "findings": [finding(problem) for problem in problems],
        "advice": [],
        "rules": [],
        "changed": [],
        "dropped": [],
    }


def _advice(
    api: ApiContext, found: Configuration, visible: Callable[[str, str], bool] | None
) -> Iterator[dict[str, Any]]:
    """Yield what `lint` says of the rules, beside those in force."""
    engine = api.settings.engine
    folder = Path(engine.templates) if engine.type == "local" else None
    catalog = api.engine.catalog
    rules = [compile_rule(rule, found.revisions[rule.name], found.calendars) for rule in found.rules]
    others = [rule for name, rule in catalog.rules.items() if name not in found.revisions]
    others = [rule for rule in others if visible is None or visible(f"rules.{rule.name}", "")]
    pools = {**catalog.pools, **found.pools}
    advice = list(lint(rules, api.engine.clock.now(), pools, others))
    for one in [*advice, *(each for rule in found.rules for each in advice_on_workflow(rule, folder))]:
        place = place_of(found, one.rule)
        yield {"rule": one.rule, "line": place.line, "path": one.path, "message": cut(one.message), "hint": one.hint}


def finding(problem: Problem) -> dict[str, Any]:
    """Return a problem as JSON-shaped data, with masked secrets."""
    masked = {name: SECRETS.mask(getattr(problem, name)) for name in ("path", "message", "hint")}
    return {"file": shown(problem.file), "line": problem.line, "column": problem.column, **masked}
