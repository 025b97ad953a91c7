import pytest

from retrainer.config import yaml
from retrainer.config.tree import plain
from retrainer.config.yaml import read


def problems(text: str) -> list[str]:
    return [str(problem) for problem in read(text, "f.yaml")[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param(
            "a: 1\na: 2", "f.yaml:2:1: a: `a` is written twice here, first in line 1 (keep one)", id="duplicate key"
        ),
        pytest.param(
            "b: {c: 1, c: 1}",
            "f.yaml:1:11: b.c: `c` is written twice here, first in line 1",
            id="duplicate key in a flow map",
        ),
        pytest.param(
            "a: &x 1",
            "f.yaml:1:4: a: anchors and aliases are not supported (remove `&x`; what rules",
            id="anchor",
        ),
        pytest.param(
            "a: &x 1\nb: *x", "f.yaml:2:4: b: anchors and aliases are not supported (write 1; what rules", id="alias"
        ),
        pytest.param("<<: {a: 1}", "f.yaml:1:1: merge keys are not supported (remove the line, or", id="merge key"),
        pytest.param(
            "a: !!python/name:os 1", 'f.yaml:1:4: a: the tag `!!python/name:os` is not supported (write "1")', id="tag"
        ),
        pytest.param(
            "a: no", 'f.yaml:1:4: a: `no` is text to some readers of YAML and false to others (write "no"', id="no"
        ),
        pytest.param("a: Yes", 'a: `Yes` is text to some readers of YAML and true to others (write "Yes"', id="Yes"),
        pytest.param("on: 1", "f.yaml:1:1: on: `on` is text to some readers of YAML and true", id="on as a key"),
        pytest.param("a: 22:22", 'a number to base 60 to others (write "22:22")', id="22:22"),
        pytest.param("a: 017", "a: `017` is octal or binary to some readers", id="017"),
        pytest.param("a: 0o17", "a: `0o17` is octal or binary", id="0o17"),
        pytest.param("a: 1e3", "a: `1e3` is a number to some readers of YAML and text to others", id="1e3"),
        pytest.param("a: 1_000", 'text to others (write 1000, or "1_000")', id="1_000"),
        pytest.param("a: .nan", "a: `.nan` is not a finite number", id="nan"),
        pytest.param("a: 1.0e+999", "is too large a number", id="infinite"),
        pytest.param("a: 9223372036854775808", "does not fit into 64 bits", id="beyond 2^63"),
        pytest.param(
            "a:\nb: 1",
            "the value is empty (write `a: …`, or remove the line)",
            id="no value",
        ),
        pytest.param(
            "a: {{ x }}",
            'f.yaml:1:5: a: `{{` unquoted begins a map (write "{{ x }}" for that text as it is; "${{ x }}" is',
            id="bare hole",
        ),
        pytest.param("true: 1", 'f.yaml:1:1: the key `true` is not a text (write "true")', id="boolean key"),
        pytest.param(
            "a: {b: ${x.y}}",
            'f.yaml:1:8: a `${…}` between braces or brackets must be quoted (write "${x.y}")',
            id="hole in a flow map",
        ),
        pytest.param(
            "a: [x, ${y}]",
            'f.yaml:1:8: a `${…}` between braces or brackets must be quoted (write "${y}")',
            id="hole in a flow list",
        ),
        pytest.param("a: {b: ${{ m }}}", 'must be quoted (write "${{ m }}")', id="template's hole in a flow map"),
        pytest.param("[" * 40 + "]" * 40, "f.yaml:1:33: ", id="nested too deep"),
        pytest.param(
            "a: b: c",
            'f.yaml:1:5: not YAML: a text with `: ` in it must be quoted (write "b: c")',
            id="colon in a text",
        ),
        pytest.param("a:\n\t- b", "2:1: a tab at the beginning of the line (indent with spaces)", id="tab"),
        pytest.param(
            "a: 'x",
            "1:4: not YAML: the quote that begins here does not end (close it, or remove it)",
            id="quote left open",
        ),
        pytest.param(
            "a: \x01", "1:4: not YAML: the control character U+0001 is not allowed (remove it;", id="control character"
        ),
        pytest.param("", "f.yaml:1:1: the file is empty (begin with `version: 1`)", id="empty"),
        pytest.param("a: 1\n---\nb: 1", "f.yaml:2:1: a second document in one file", id="two documents"),
    ],
)
def test_what_is_refused_is_said_at_its_place_with_the_way_out(text: str, expected: str) -> None:
    assert any(expected in problem for problem in problems(text)), problems(text)


def test_all_is_said_at_once() -> None:
    assert len(problems("a: no\nb: 017\nc: &x 1\na: 1\n")) == 4


def test_scalars_mean_what_yaml_1_2_says() -> None:
    text = "a: [1, -2.5, 0x1F, 2026-12-24, '017', \"no\", true, ~, 1.5e+3, nowhere, 10:30-11, +7]"
    root, found = read(text, "f.yaml")
    assert root is not None
    assert not found
    assert plain(root)["a"] == [1, -2.5, 31, "2026-12-24", "017", "no", True, None, 1500.0, "nowhere", "10:30-11", 7]


def test_positions_count_characters_from_one() -> None:
    root, _ = read('ä: {b: "ü", c: [x, {d: 1}]}', "f.yaml")
    assert root is not None
    inner = root.items()["ä"].items()["c"].elements()[1]
    assert (inner.mark.line, inner.mark.column) == (1, 20)
    assert inner.key("d").column == 21


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(
            "a: {b: [1, {c: 'x'}], d: |\n  text\n  more\n}\n".replace("|\n  text\n  more\n", '"t"'), id="flow"
        ),
        pytest.param(
            "a:\n  - b: |\n      text\n      more\n    c: >-\n      folded\n      text\n  - 'it''s'\n", id="block"
        ),
        pytest.param('# comment\n---\na: "\\u00e9\\n"  # more\nb: plain text # end\n', id="comments and escapes"),
        pytest.param("a: {b:c: 1, 'd':2}\nurl: http://x:80/y\n", id="colons"),
    ],
)
def test_both_parsers_read_the_same(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fast = read(text, "f.yaml")
    monkeypatch.setattr(yaml.libyaml, "__with_libyaml__", False)
    assert read(text, "f.yaml") == fast


@pytest.mark.parametrize("fast", [pytest.param(True, id="libyaml"), pytest.param(False, id="ruamel")])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("token: !!str s3cr3t", "the tag `!!str` is not supported (remove `!!str`)", id="a tag"),
        pytest.param("a: &x s3cr3t\ntoken: *x", "(write {from_env: NAME})", id="an alias"),
    ],
)
def test_a_secret_with_a_tag_or_an_alias_is_in_no_message(
    text: str, expected: str, fast: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(yaml.libyaml, "__with_libyaml__", fast)
    found = problems(text)
    assert found[-1].endswith(expected)
    assert "s3cr3t" not in "".join(found)
