"""A strict YAML 1.2 reader with positions.

Rejected: duplicate keys, anchors and aliases, tags, several documents, nesting deeper than 32, keys that are not text,
entries without a value, and unquoted scalars that other parsers read differently.

The time is linear in the length of the text, whatever it contains: reading stops at limits for nesting, values and
problems that no real file reaches (the time of libyaml is quadratic in the depth).
"""

from __future__ import annotations

import json
import re
from sys import intern
from typing import TYPE_CHECKING, Any, NoReturn

import yaml as libyaml  # type: ignore[import-untyped]
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from retrainer.config.errors import cut
from retrainer.config.fields import EXAMPLES, MAPS, is_secret, takes_boolean, takes_text
from retrainer.config.scalars import LONGEST_SHOWN, resolve, resolve_for
from retrainer.config.tree import REFUSED, Mark, Node, Text, spell

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from retrainer.config.errors import Problem
    from retrainer.config.tree import Path, Scalar

MAX_DEPTH = 32
MAX_PASSED = 500
"""Levels of nesting: values deeper than `MAX_DEPTH` are skipped so that the rest can be read, down to this depth."""
MAX_NODES = 1_000_000
"""Maximum number of values in a file: half a gigabyte while it is read."""
MAX_LINES = 1_000_000
MAX_PROBLEMS = 100
"""Maximum number of reported problems in a file."""
MAX_DIRECTIVES = 16
"""Maximum number of directives: libyaml compares each one with all before it."""
_WORD = re.compile("[a-z]+_[a-z_]+|metadata|triggers|schedule|freshness|data|cron|batch|match|submit|name|source")
"""Keys that every parser reads as text."""
_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
_SHARED = "what rules have in common belongs in `defaults` or `templates`"
_NO_ALIASES = "anchors and aliases are not supported"
_FLATTER = "move the workflow to a WorkflowTemplate and name it: `workflow_template: NAME`"
_SHOWN_STEPS = 6
"""Steps of the path of a value that is nested too deep."""
_HOLES = re.compile(r"(\$\{\{[^}]*\}\}|\$\{[^}]*\}|[^,\]}\s])+")
_COLON = re.compile(r"\s*(?:- )?[\w.-]+:\s+([^\"'{\[].*)")
_HINTS = (
    ("tab", "indent with spaces, not with tabs"),
    ("\\t", "indent with spaces, not with tabs"),
    ("mapping values", "quote a text that contains `: `"),
    ("cannot start any token", "quote a text that begins with @, `, % or a tab"),
    ("end of stream", "close the quote or the bracket"),
    ("characters", "remove the control character"),
)


def read(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Read one document; ``file`` is for the positions. All problems are reported at once, as far as the syntax allows.

    The node is None if the syntax is wrong or the document is empty; rejected values in it are `REFUSED`.
    """
    if endless := _endless(text, file):
        return None, [endless]
    where = Text(file, tuple(_BREAK.split(text)))
    reader = _Reader(where, _events(text))
    try:
        return reader.document(), reader.problems
    except _EnoughError:
        return None, reader.problems
    except (libyaml.YAMLError, YAMLError) as error:
        return None, [*reader.problems, _syntax(where, error)]


def _endless(text: str, file: str) -> Problem | None:
    """A problem for text that would be expensive to read before the first value."""
    start = Mark(Text(file, ()), 1, 1)
    if text.count("\n") + text.count("\r") > MAX_LINES:
        return start.problem("", f"more than {MAX_LINES} lines", "split it")
    if text.startswith("%") and len(re.findall(r"^%", text, re.MULTILINE)) > MAX_DIRECTIVES:
        return start.problem("", f"more than {MAX_DIRECTIVES} directives", "remove the lines that begin with %")
    return None


def _events(text: str) -> Iterator[Any]:
    """Parse with libyaml, which is forty times faster than ruamel; use ruamel where libyaml is not available.

    Only the syntax is parsed there, which has not changed since YAML 1.1. Scalars are interpreted here.
    """
    if libyaml.__with_libyaml__:
        return iter(libyaml.parse(text, Loader=libyaml.CSafeLoader))
    return iter(YAML(typ="safe", pure=True).parse(text))


class _EnoughError(Exception):
    """Reading stops, because a limit was reached."""


class _Reader:
    """Builds nodes from the events of the parser."""

    def __init__(self, text: Text, events: Iterable[Any]) -> None:
        self._text = text
        self._events = iter(events)
        self._nodes = 0
        self._anchors: dict[str, tuple[int, Any]] = {}
        self.problems: list[Problem] = []

    def document(self) -> Node | None:
        event = self._next_of("DocumentStart", "StreamEnd")
        if type(event).__name__ == "StreamEndEvent":
            self._report(Mark(self._text, 1, 1), (), "the file is empty", "begin with `version: 1`")
            return None
        root: Node | None = self._node(next(self._events), ())
        second = self._next_of("DocumentStart", "StreamEnd")
        if type(second).__name__ == "DocumentStartEvent":
            self._report(self._mark(second), (), "a second document in one file", "move it to a separate file")
        return root if root is None or root.value is not REFUSED else None

    def _next_of(self, *names: str) -> Any:
        return next(event for event in self._events if type(event).__name__.removesuffix("Event") in names)

    def _node(self, event: Any, path: Path) -> Node:
        """Build one node. All its events are consumed, even if it is rejected."""
        kind = type(event).__name__
        mark = self._mark(event)
        self._count(event)
        if kind == "AliasEvent":
            self._report(mark, path, _NO_ALIASES, self._instead_of_alias(event.anchor, path))
            return Node(REFUSED, mark)
        if event.anchor:
            self._anchors.setdefault(event.anchor, (mark.line, event))
            self._report(mark, path, _NO_ALIASES, f"remove `&{event.anchor}`; {_SHARED}")
        if _tag(event):
            self._report(mark, path, *_of_tag(event, mark, path))
        if kind == "ScalarEvent":
            return self._scalar(event, path, mark)
        if len(path) >= MAX_DEPTH:
            hint = _FLATTER if "workflow" in path else "use fewer maps and lists within one another"
            self._report(mark, path[:_SHOWN_STEPS], f"nested deeper than {MAX_DEPTH} levels", hint)
            self._pass(event)
            return Node(REFUSED, mark)
        return self._map(path, mark) if kind == "MappingStartEvent" else self._list(path, mark)

    def _instead_of_alias(self, name: str, path: Path) -> str:
        if is_secret(path):
            return "write {from_env: NAME}"
        line, event = self._anchors.get(name, (0, None))
        if event is not None and type(event).__name__ == "ScalarEvent":
            return f"write {json.dumps(event.value, ensure_ascii=False) if event.style else event.value}; {_SHARED}"
        return f"write out what line {line} names `&{name}`; {_SHARED}" if line else f"write the value; {_SHARED}"

    def _scalar(self, event: Any, path: Path, mark: Mark) -> Node:
        if event.style:  # quoted or a block; plain scalars have no style or, with libyaml, an empty one
            return Node(event.value, mark)
        if not event.value:
            self._report(mark, path, "the value is empty", _value_for(path))
            return Node(REFUSED, mark)
        try:
            value = _value(event.value, path)
            return Node(value, mark, written="" if value is None or isinstance(value, str) else event.value)
        except ValueError as error:
            what, _, way_out = str(error).partition(": write ")
            self._report(mark, path, what, f"write {way_out}")
            return Node(REFUSED, mark)

    def _list(self, path: Path, mark: Mark) -> Node:
        """Read a list. A list of scalars with a rejected one is rejected; a list with maps only loses the element."""
        elements: list[Node] = []
        while type(event := next(self._events)).__name__ != "SequenceEndEvent":
            elements.append(self._node(event, (*path, len(elements))))
        good = [element for element in elements if element.value is not REFUSED]
        if len(good) < len(elements) and not any(isinstance(element.value, dict) for element in good):
            return Node(REFUSED, mark)
        return Node(good, mark)

    def _map(self, path: Path, mark: Mark) -> Node:
        entries: dict[str, Node] = {}
        keys: dict[str, Mark] = {}
        lost = False
        while type(event := next(self._events)).__name__ != "MappingEndEvent":
            place = self._mark(event)
            key = self._key(event, path, place)
            if key in keys:
                self._report(
                    place, (*path, key), f"`{key}` is written twice here, first in line {keys[key].line}", "keep one"
                )
            if key is None:
                self._pass(next(self._events))
                lost = True
                continue
            child = self._node(next(self._events), (*path, key))
            entries[key] = _both(entries[key], child) if key in entries else child
            keys.setdefault(key, place)
        return Node(entries if entries or not lost else REFUSED, mark, keys)

    def _key(self, event: Any, path: Path, mark: Mark) -> str | None:
        if type(event).__name__ != "ScalarEvent":
            braces = re.search(r"\{\{([^{}]*)\}\}", mark.source)
            what = "`{{` unquoted begins a map" if braces else "a key must be a text"
            self._report(mark, path, what, _of_braces(braces, path) if braces else "quote it")
            self._pass(event)
            return None
        if event.value == "<<" and not event.style:
            hint = f"remove the line, or write in its place what it stands for; {_SHARED}"
            self._report(mark, path, "merge keys are not supported", hint)
            return None
        if event.style or _WORD.fullmatch(event.value):
            return intern(event.value)  # rules repeat the same few keys
        try:
            node = Node(resolve(event.value), mark) if event.value else self._scalar(event, path, mark)
        except ValueError as error:
            what = str(error).partition(": write ")[0]
            self._report(mark, (*path, event.value), what, f"write {_quoted_key(event.value, mark)}")
            return str(event.value)
        if node.value is REFUSED:
            return str(event.value) or None
        if not isinstance(node.value, (str, int)) or isinstance(node.value, bool):
            self._report(mark, path, f"the key `{event.value}` is not a text", f'write "{event.value}"')
        return str(event.value)

    def _pass(self, event: Any) -> None:
        """Skip a node with everything in it."""
        depth = 0
        while True:
            name = type(event).__name__
            depth += name in ("MappingStartEvent", "SequenceStartEvent")
            self._count(event)
            if depth > MAX_PASSED:
                self._end(self._mark(event), f"nested deeper than {MAX_DEPTH + MAX_PASSED} levels", "make it flatter")
            depth -= name in ("MappingEndEvent", "SequenceEndEvent")
            if not depth:
                return
            event = next(self._events)

    def _mark(self, event: Any) -> Mark:
        return Mark(self._text, event.start_mark.line + 1, event.start_mark.column + 1)

    def _count(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._end(self._mark(event), f"more than {MAX_NODES} values", "split it, or use `templates`")

    def _report(self, mark: Mark, path: Path, message: str, hint: str) -> None:
        self.problems.append(mark.problem(spell(path), message, hint))
        if len(self.problems) >= MAX_PROBLEMS:
            self._end(mark, "too many errors: the rest was not read", "correct the ones above first")

    def _end(self, mark: Mark, message: str, hint: str) -> NoReturn:
        self.problems.append(mark.problem("", message, hint))
        raise _EnoughError


def _both(one: Node, other: Node) -> Node:
    """The merged value of a duplicate key, so that references to either of the two are not reported."""
    if isinstance(one.value, dict) and isinstance(other.value, dict):
        return Node({**one.value, **other.value}, one.mark, {**one.keys, **other.keys})
    if isinstance(one.value, list) and isinstance(other.value, list):
        return Node([*one.value, *other.value], one.mark)
    return other


def _value(text: str, path: Path) -> Scalar:
    """The value of an unquoted scalar. What fits at the path only matters for the correction, so it is asked last."""
    try:
        return resolve(text)
    except ValueError:
        return resolve_for(text, text_fits=takes_text(path), boolean_fits=takes_boolean(path))


def _tag(event: Any) -> str:
    """Return the tag, if one is written; ruamel sometimes has it as an object."""
    return str(event.tag) if event.tag and str(event.tag) not in ("!", "None") else ""


def _of_tag(event: Any, mark: Mark, path: Path) -> tuple[str, str]:
    """Message and hint for a tag as it is written, such as `!!str`."""
    written = mark.source[mark.column - 1 :].split(maxsplit=1)[:1]
    tag = written[0] if written and written[0].startswith("!") else str(event.tag)
    if type(event).__name__ != "ScalarEvent" or not event.value or is_secret(path):
        return f"the tag `{tag}` is not supported", f"remove `{tag}`"
    plain = str(event.tag).endswith((":int", ":float", ":bool", ":null"))
    value = event.value if plain else json.dumps(event.value, ensure_ascii=False)
    return f"the tag `{tag}` is not supported", f"write {value}"


def _of_braces(found: re.Match[str], path: Path) -> str:
    """What to write instead of unquoted `{{ … }}`: only templates fill `${{ … }}`, and parameters `${…}`."""
    if path[:1] == ("templates",):
        return f'write "${found[0]}"'
    if "parameters" in path:
        return f'write "${{{found[1].strip()}}}"'
    return f'write "{found[0]}" for that text as it is; "${found[0]}" is replaced only inside `templates`'


def _value_for(path: Path) -> str:
    if not path or isinstance(path[-1], int):
        return "give a value, or remove the line"
    name = path[-1]
    if name in EXAMPLES:
        return f"write `{name}: {EXAMPLES[name]}` or the entries indented beneath it, or remove the line"
    return f"write `{name}: …`{', or the entries indented beneath it' * (name in MAPS)}, or remove the line"


def _quoted_key(key: str, mark: Mark) -> str:
    """The key in quotes, with its value if that is a word on the same line."""
    value = re.match(r"\s*:\s*([\w./-]+)", mark.source[mark.column - 1 + len(key) :])
    return f'"{cut(key, LONGEST_SHOWN)}": {value[1] if value else "…"}'


def _syntax(text: Text, error: Any) -> Problem:
    """The problem of a syntax error: message and position."""
    at = getattr(error, "problem_mark", None)
    if at is None:  # a control character, found before lines are known
        before = "\n".join(text.lines)[: getattr(error, "position", 0)]
        mark = Mark(text, before.count("\n") + 1, len(before) - before.rfind("\n"))
        control = mark.source[mark.column - 1 : mark.column]
        if control and not control.isprintable():
            what = f"not YAML: the control character U+{ord(control):04X} is not allowed"
            return mark.problem("", what, "remove it; editors may not show it")
    else:
        mark = Mark(text, at.line + 1, at.column + 1)
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or error)
    if mark.source[: mark.column].endswith("${"):
        hole = _HOLES.match(mark.source[mark.column - 2 :])
        return mark._replace(column=mark.column - 1).problem(
            "", "a `${…}` between braces or brackets must be quoted", f'write "{hole[0] if hole else "${…}"}"'
        )
    context = getattr(error, "context", None)
    if "alias" in str(context):
        at = error.context_mark.column
        text_of_it = re.split(r"[,}\]]|\s#", mark.source[at:], maxsplit=1)[0].strip()
        return mark._replace(column=at + 1).problem(
            "", "a text that begins with `*` or `&` must be quoted", f'write "{text_of_it}"'
        )
    opened = getattr(error, "context_mark", None)
    if "end of stream" in what and "quoted" in str(context) and opened:
        mark = Mark(text, opened.line + 1, opened.column + 1)
        return mark.problem("", "not YAML: the quote that begins here does not end", "close it, or remove it")
    if "token" in what and mark.source[: mark.column].endswith("\t"):
        return mark.problem("", "a tab at the beginning of the line", "indent with spaces")
    since = f" ({context} from line {opened.line + 1})" if context and opened else ""
    seen = what + mark.source[mark.column - 1 : mark.column].replace("\t", " tab")
    if "mapping values" in what and (colon := _COLON.fullmatch(mark.source)):
        return mark.problem(
            "", "not YAML: a text with `: ` in it must be quoted", f"write {json.dumps(colon[1], ensure_ascii=False)}"
        )
    hint = next(
        (hint for sign, hint in _HINTS if sign in seen), "check the quotes, brackets and indentation up to here"
    )
    return mark.problem("", f"not YAML: {what}{since}", hint)
