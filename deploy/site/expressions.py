"""Generate the expression reference: variables and functions come from the evaluator, descriptions from here.

A variable, field or function without a description raises KeyError. A test runs the examples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from retrainer.config.models import Rule
from retrainer.rules import environment
from retrainer.rules.cel.functions import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from retrainer.rules.cel.check import Type
    from retrainer.rules.cel.functions import Function

_RULE = Rule.model_validate(
    {
        "name": "all",
        "triggers": {"a": {"after": {"rule": "other"}}},
        "for_each": {"by": {}},
        "submit": {"workflow_template": "t"},
    }
)
"""A rule whose parameters can use every variable."""
_KINDS = {"text": "string", "moment": "timestamp"}
_PLACES: tuple[tuple[str, Mapping[str, Type], str], ...] = (
    ("`where` of a data trigger", environment.EVENT, "bool"),
    ("`rows` of a data trigger; `value` of a metric trigger", environment.EVENT, "number"),
    ("`distinct_by` of a data trigger; `for_each: {by: …}`", environment.EVENT, "string or int"),
    ("`where` of an after trigger", environment.UPSTREAM, "bool"),
    ("`${…}` in `submit: {parameters: …}`", environment.of_parameters(_RULE), "any; see [parameters](#parameters)"),
    ("`feedback: {promoted: …}`", environment.OUTPUTS, "bool"),
    ("`cost: {gpu_hours: …}`", environment.OUTPUTS, "number"),
    ("`id` of a source", environment.DELIVERY, "string or int"),
    ("`time` of a source", environment.TIMED, "timestamp, RFC 3339 string, or seconds since the epoch"),
)
_ENDED = {
    "id": "Id of the run.",
    "phase": "Phase in which it ended: `SUCCEEDED`, `FAILED`, `ERROR`, `CANCELLED`, `SKIPPED` or `UNKNOWN`.",
    "ended_at": "When it ended.",
    "outputs": "Its outputs, by the names of `submit: {outputs: …}`.",
    "parameters": "The parameters that it ran with.",
}
_EVENT = {
    "source": "Name of the source.",
    "id": "Identity of the event. A second event with the same identity is a duplicate.",
    "type": "Type of the event, such as `s3:ObjectCreated:Put`, the type of a CloudEvent, or `json`.",
    "time": "The time that the event gives; without one, the time at which it arrived.",
    "subject": "Subject of the event, such as the key of an object; empty if it has none.",
    "data": "The payload.",
    "attributes": "Attributes of a CloudEvent, and what the source adds, such as the partition of a Kafka record.",
}
_VARIABLES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "event": ("The event that is evaluated.", _EVENT),
    "upstream": (
        """The run that an after trigger follows. In parameters: only in rules with an after trigger, and empty if
        another trigger started the run; check it with `has(upstream.id)`.""",
        {
            **{name: words for name, words in _ENDED.items() if name != "ended_at"},
            "rule": "Name of its rule.",
            "key": "Its key; empty if its rule has no `for_each`.",
        },
    ),
    "outputs": ("The outputs of the run, by the names of `submit: {outputs: …}`.", {}),
    "data": ("The payload, before an event is made of it.", {}),
    "headers": ("Headers of the request or record, with lower-case names. Credentials are not among them.", {}),
    "rule": ("The rule.", {"name": "Its name.", "labels": "Its labels."}),
    "key": ("The key of the run. Only in rules with `for_each`.", {}),
    "trigger": (
        "What started the run.",
        {
            "name": "Name of the trigger; `manual` for a manual run.",
            "reason": "The [reason](reasons.md) in one word.",
            "scheduled_at": "The slot, for a schedule; otherwise null.",
            "names": "Names of all triggers that were satisfied.",
            "values": "Values of the metrics that contributed.",
        },
    ),
    "window": (
        "The data that the run consumes. Without data, `start` and `end` are the time at which the run is created.",
        {
            "start": "Earliest event time.",
            "end": "Latest event time.",
            "events": "Number of events.",
            "bytes": "Sum of `event.data.size`.",
            "rows": "Sum of the trigger's `rows`.",
            "first_key": """Key of the object that arrived first; for other events the subject, else the Kafka
            key. Empty if there is none.""",
            "last_key": "The same of the event that arrived last.",
            "parts": "For each Kafka partition: the first and last offset, as `{first, last}`.",
        },
    ),
    "events": (
        """The newest events of the window: at most 1,000, with at most 4 MiB of data together. The newest event is
        always included. `window.events` counts all events. Each item has the fields of [event](#event).""",
        {},
    ),
    "run": (
        "The run that is being created.",
        {
            "id": "Its id.",
            "name": "Name of its Workflow.",
            "attempt": "Number of the attempt; retries use the parameters of the first one.",
            "namespace": "Namespace of its Workflow.",
            "manifest_uri": "Where the list of all inputs is: the [manifest](manifest.md).",
        },
    ),
    "previous": ("The last run of this rule and key that ended; empty before the first.", _ENDED),
    "champion": (
        """The last run of this rule and key whose model was promoted ([feedback](rules/feedback.md)); empty before
        the first.""",
        _ENDED,
    ),
}
FUNCTION_WORDS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "size": (
        "Number of characters of a string, of bytes, of items of a list, of entries of a map.",
        (('size("grün")', "4"), ("[1, 2].size()", "2")),
    ),
    "contains": ("The string contains the other one.", (('"churn-train".contains("train")', "true"),)),
    "startsWith": ("The string starts with the other one.", (('"eu/churn".startsWith("eu/")', "true"),)),
    "endsWith": ("The string ends with the other one.", (('"a.csv".endsWith(".parquet")', "false"),)),
    "matches": (
        """The pattern is found in the string. Patterns are [RE2](https://github.com/google/re2/wiki/Syntax) without
        Unicode classes; anchor them with `^` and `$`.""",
        (('"part-0001.csv".matches("^part-[0-9]+[.]csv$")', "true"), ('"abc".matches("b")', "true")),
    ),
    "string": (
        "The value as a string.",
        (("string(5)", '"5"'), ("string(true)", '"true"'), ('string(duration("90m"))', '"5400s"')),
    ),
    "int": (
        "A whole number. Fractions are cut off. A timestamp becomes seconds since the epoch.",
        (('int("42")', "42"), ("int(2.9)", "2"), ('int(timestamp("1970-01-01T00:01:00Z"))', "60")),
    ),
    "uint": ("An unsigned whole number.", (("uint(7)", "7u"),)),
    "double": ("A number with a fraction.", (('double("0.5")', "0.5"), ("double(1) / double(4)", "0.25"))),
    "bytes": ("The bytes of a string in UTF-8.", (('size(bytes("grün"))', "5"),)),
    "timestamp": (
        "The timestamp of an RFC 3339 string.",
        (('timestamp("2026-01-01T00:00:00Z") < timestamp("2026-01-02T00:00:00+01:00")', "true"),),
    ),
    "duration": (
        "The duration of a string such as `90s` or `1h30m`.",
        (('timestamp("2026-01-02T00:00:00Z") - timestamp("2026-01-01T00:00:00Z")', 'duration("24h")'),),
    ),
    "type": ("Name of the type.", (('type("a") == type("b")', "true"), ("type(1) == type(1.0)", "false"))),
    "dyn": ("The value itself, without a check of its type before the expression runs.", (("dyn(1)", "1"),)),
    "getFullYear": ("Year.", (('timestamp("2026-03-05T06:07:08Z").getFullYear()', "2026"),)),
    "getMonth": ("Month, from 0.", (('timestamp("2026-03-05T06:07:08Z").getMonth()', "2"),)),
    "getDate": ("Day of the month, from 1.", (('timestamp("2026-03-05T06:07:08Z").getDate()', "5"),)),
    "getDayOfMonth": ("Day of the month, from 0.", (('timestamp("2026-03-05T06:07:08Z").getDayOfMonth()', "4"),)),
    "getDayOfWeek": ("Day of the week; Sunday is 0.", (('timestamp("2026-03-05T06:07:08Z").getDayOfWeek()', "4"),)),
    "getDayOfYear": ("Day of the year, from 0.", (('timestamp("2026-03-05T06:07:08Z").getDayOfYear()', "63"),)),
    "getHours": (
        "Hour of the day; of a duration all of it in hours.",
        (('timestamp("2026-03-05T06:07:08Z").getHours()', "6"), ('duration("90m").getHours()', "1")),
    ),
    "getMinutes": (
        "Minute; of a duration all of it in minutes.",
        (('timestamp("2026-03-05T06:07:08Z").getMinutes()', "7"), ('duration("2h").getMinutes()', "120")),
    ),
    "getSeconds": (
        "Second; of a duration all of it in seconds.",
        (('timestamp("2026-03-05T06:07:08Z").getSeconds()', "8"), ('duration("2m").getSeconds()', "120")),
    ),
    "getMilliseconds": (
        "Milliseconds within the second, also of a duration.",
        (('duration("123.321s").getMilliseconds()', "321"),),
    ),
    "lowerAscii": ("The string with A to Z in lower case.", (('"Churn".lowerAscii()', '"churn"'),)),
    "upperAscii": ("The string with a to z in upper case.", (('"churn".upperAscii()', '"CHURN"'),)),
    "trim": ("The string without white space at its ends.", (('" a ".trim()', '"a"'),)),
    "charAt": ("The character at a position, counted from 0.", (('"abc".charAt(1)', '"b"'),)),
    "substring": (
        "The part from a position up to the end, or up to another position.",
        (('"churn-train".substring(6)', '"train"'), ('"churn-train".substring(0, 5)', '"churn"')),
    ),
    "indexOf": (
        "Position of the first occurrence, from a position if one is given; -1 if there is none.",
        (('"a/b/c".indexOf("/")', "1"), ('"a/b/c".indexOf("/", 2)', "3")),
    ),
    "lastIndexOf": ("Position of the last occurrence; -1 if there is none.", (('"a/b/c".lastIndexOf("/")', "3"),)),
    "replace": (
        "The string with each occurrence replaced, or the first ones.",
        (('"a-b-c".replace("-", "/")', '"a/b/c"'), ('"a-b-c".replace("-", "/", 1)', '"a/b-c"')),
    ),
    "split": (
        "The parts between the separators, at most as many as given.",
        (('"eu/churn/1".split("/")', '["eu", "churn", "1"]'), ('"eu/churn/1".split("/", 2)', '["eu", "churn/1"]')),
    ),
    "join": ("The strings of a list in one, with a separator if it is given.", (('["a", "b"].join("-")', '"a-b"'),)),
    "format": (
        "The string with `%s`, `%d`, `%f`, `%e`, `%x`, `%o` and `%b` replaced by the values; `%.2f` has two decimals.",
        (('"%s-%d".format(["churn", 7])', '"churn-7"'), ('"%.2f".format([0.5])', '"0.50"')),
    ),
    "sum": ("Sum of numbers of one type, or of durations; 0 of an empty list.", (("[1, 2, 3].sum()", "6"),)),
    "min": ("The smallest item; an empty list is an error.", (("[3, 1, 2].min()", "1"),)),
    "max": ("The largest item; an empty list is an error.", (("[3, 1, 2].max()", "3"),)),
    "sort": ("The items in ascending order.", (("[3, 1, 2].sort()", "[1, 2, 3]"),)),
    "distinct": ("Each value once, in the order of the list.", (("[1, 2, 1].distinct()", "[1, 2]"),)),
    "strftime": (
        """The time by a pattern of `%Y`, `%m`, `%d`, `%H`, `%M`, `%S`, `%j` (day of the year), `%G`, `%V` (ISO year and
        week), `%u` (ISO day of the week) and `%%`, in UTC or in a time zone.""",
        (
            ('timestamp("2026-03-05T23:30:00Z").strftime("%Y-%m-%d")', '"2026-03-05"'),
            ('timestamp("2026-03-05T23:30:00Z").strftime("%Y-%m-%d", "Europe/Berlin")', '"2026-03-06"'),
        ),
    ),
    "truncate": (
        "The start of the `minute`, `hour`, `day`, `week` (Monday), `month` or `year`, in UTC or in a time zone.",
        (('timestamp("2026-03-05T06:07:08Z").truncate("day")', 'timestamp("2026-03-05T00:00:00Z")'),),
    ),
}
MACRO_WORDS: Mapping[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "default": (
        "The value, or another one if it is null or a field of it does not exist.",
        (("default({'a': 1}.b, 0)", "0"), ("default({'a': 1}.a, 0)", "1")),
    ),
    "has": ("The field is there.", (("has({'a': 1}.a)", "true"), ("has({'a': 1}.b)", "false"))),
    "all": ("The condition holds for every item.", (("[1, 2, 3].all(x, x > 0)", "true"),)),
    "exists": ("It holds for at least one item.", (("[1, 2, 3].exists(x, x > 2)", "true"),)),
    "exists_one": (
        "It holds for exactly one item; also written `existsOne`.",
        (("[1, 2].exists_one(x, x > 0)", "false"),),
    ),
    "filter": ("The items for which it holds.", (("[1, 2, 3].filter(x, x > 1)", "[2, 3]"),)),
    "map": (
        "The value of each item; with three arguments only of those items for which the second one holds.",
        (("[1, 2].map(x, x * 10)", "[10, 20]"), ("[1, 2].map(x, x > 1, x * 10)", "[20]")),
    ),
    "in": ("The item is in the list; the key is in the map.", (("2 in [1, 2]", "true"), ("'a' in {'a': 1}", "true"))),
    "? :": ("One value or the other.", (("1 > 2 ? 'yes' : 'no'", "'no'"),)),
    "+": ("Sum; strings and lists are joined.", (("'a' + 'b'", "'ab'"), ("[1] + [2]", "[1, 2]"))),
    "- * / %": ("Arithmetic. Whole numbers are divided without a remainder.", (("7 / 2", "3"), ("7 % 2", "1"))),
    "== != < <= > >=": ("Comparison. Numbers of different types are compared by value.", (("1 == 1.0", "true"),)),
    "! && ||": (
        "Logic. An operand without a value does not matter if the other one decides.",
        (("1 / 0 > 0 || true", "true"),),
    ),
}


def expressions_page() -> str:
    """Return the generated part of docs/reference/expressions.md."""
    return "\n".join([*_places(), "", *_variables(), "## Functions", *_functions(), "", "## Operators", *_macros(), ""])


def _places() -> Iterator[str]:
    yield "## Where expressions are used"
    yield from ("| place | variables | result |", "| --- | --- | --- |")
    for place, scope, gives in _PLACES:
        names = ", ".join(f"[{name}](#{name})" for name in scope)
        yield f"| {place} | {names} | {gives} |"


def _variables() -> Iterator[str]:
    yield "## Variables"
    types = {name: of for _, scope, _ in _PLACES for name, of in scope.items()}
    for name, of in types.items():
        words, fields = _VARIABLES[name]
        yield from (f"### {name}", f"Type: {_kind(of)}. {_in_line(words)}", "")
        if of.fields:
            yield from ("| field | type | meaning |", "| --- | --- | --- |")
            yield from (
                f"| `{name}.{field}` | {_kind(one)} | {_in_line(fields[field])} |" for field, one in of.fields.items()
            )
            yield ""


def _in_line(words: str) -> str:
    return " ".join(words.split())


def _kind(of: Type) -> str:
    return _KINDS.get(of.kind, of.kind)


def _functions() -> Iterator[str]:
    yield from ("Square brackets mark values that may be left out.", "")
    yield from ("| function | takes | gives | meaning | examples |", "| --- | --- | --- | --- | --- |")
    for name, function in FUNCTIONS.items():
        words, examples = FUNCTION_WORDS[name]
        takes, gives = ", ".join(map(_kinds, function.takes)), _KINDS.get(function.gives, function.gives)
        yield f"| `{_usage(name, function)}` | {takes} | {gives} | {_in_line(words)} | {_shown(examples)} |"


def _usage(name: str, function: Function) -> str:
    needed = len(function.takes) - function.optional
    names = [("" if place == 1 else ", ") + "xyzu"[place] for place in range(1, len(function.takes))]
    rest = "".join(names[: needed - 1]) + "".join(f"[{one}]" for one in names[needed - 1 :])
    free = f"{name}({', '.join('xyz'[: len(function.takes)])})"
    return f"{free}`, `x.{name}({rest})" if function.also_free else f"x.{name}({rest})" if function.member else free


def _kinds(kinds: frozenset[str]) -> str:
    return " or ".join(sorted(_KINDS.get(kind, kind) for kind in kinds))


def _macros() -> Iterator[str]:
    yield from ("| operator | meaning | examples |", "| --- | --- | --- |")
    for name, (words, examples) in MACRO_WORDS.items():
        signs = " ".join(f"`{sign}`" for sign in name.replace("|", "\\|").split())
        yield f"| {signs} | {words} | {_shown(examples)} |"


def _shown(examples: tuple[tuple[str, str], ...]) -> str:
    return "<br>".join(f"`{text}` → `{gives}`" for text, gives in examples).replace("|", "\\|")
