# ruff: noqa: E501 - a table with one case a line
"""One malformed file in the templates' folder is reported quickly, and the valid templates are found."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any

import pytest

from retrainer.workflows.base import Refused
from retrainer.workflows.injection_lint import pasted
from retrainer.workflows.local.templates import MOST_FILES, describe, find, problems
from retrainer.workflows.local.yaml import UnreadableYamlError, read_all

if TYPE_CHECKING:
    from pathlib import Path

KIND = "kind: WorkflowTemplate\n"
GOOD = KIND + "metadata: {name: good}\nspec: {entrypoint: m, templates: [{name: m, container: {command: ['true']}}]}\n"
LAUGH = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{name}: &{name} [{','.join(['*' + before] * 10)}]\n" for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)


def step(name: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "container": {"command": ["true"]}, **more}


def dag(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"name": "m", "dag": {"tasks": list(tasks)}}


def task(name: str, *after: str, value: str = "") -> dict[str, Any]:
    given = {"arguments": {"parameters": [{"name": "x", "value": value}]}} if value else {}
    return {"name": name, "template": "s", "dependencies": list(after), **given}


def written(*templates: dict[str, Any]) -> str:
    spec = {"entrypoint": templates[0]["name"], "templates": templates}
    return json.dumps({"kind": "WorkflowTemplate", "metadata": {"name": "t"}, "spec": spec})


def pasting(text: str) -> str:
    return written({"name": "m", "script": {"command": ["sh"], "source": text}})


BRACES = "a tag is not closed"
MANY = 1000
OUTPUTS = {"parameters": [{"name": f"o{i}", "valueFrom": {"path": "/tmp/o"}} for i in range(MANY)]}
LAST = "{{tasks.t0.outputs.parameters.o999}} {{tasks.t0.outputs.parameters.none}}"
CHAIN = [task(f"t{i}", *([f"t{i - 1}"] if i else []), value=LAST if i else "") for i in range(MANY)]
AFTER_MANY = {**task("a"), "depends": " && ".join("b" * (i + 1) for i in range(1200))}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(pasting("{{" * 1_000_000), BRACES, id="a million braces that nobody closes"),
        pytest.param(pasting("{{" + " " * 2_000_000), BRACES, id="a brace and two million blanks"),
        pytest.param(pasting("{{ x " * 400_000), BRACES, id="400,000 tags that never end"),
        pytest.param(pasting("{{inputs.parameters.x " * 100_000), BRACES, id="100,000 parameters that never end"),
        pytest.param(pasting("{{a b" * 200_000 + "}}"), "the local engine cannot fill {{a b", id="a name of a megabyte"),
        pytest.param(pasting("".join(f"{{{{a{i}}}}}" for i in range(200_000))), "the local engine cannot fill {{a0}}", id="200,000 tags"),
        pytest.param(written(dag(*CHAIN), step("s", outputs=OUTPUTS)), "cannot fill {{tasks.t0.outputs.parameters.none}}", id="a thousand tasks in a row"),
        pytest.param(written(dag(*(task(f"t{i}", f"n{i}") for i in range(MANY))), step("s")), "waits for 'n0': no such task", id="a thousand tasks that wait for nothing"),
        pytest.param(written(dag(*(task(f"t{i}", f"t{(i + 1) % MANY}") for i in range(MANY))), step("s")), "wait for each other", id="a circle of a thousand"),
        pytest.param(written(dag(AFTER_MANY), step("s")), "waits for 1200 tasks", id="a task after 1,200"),
        pytest.param(written(dag(*(task(f"t{i}") for i in range(MANY + 1))), step("s")), "has 1001 entries", id="more than a thousand tasks"),
        pytest.param(written(*(step(f"s{i}", odd=1) for i in range(MANY))), "the local engine does not support this", id="a thousand odd templates"),
        pytest.param(written({**step("m"), "x" * 1000: 1}), "the local engine does not support this", id="a field of a thousand letters"),
        pytest.param(written(step("x" * 1_500_000)), "at most 128 of them", id="a name of a megabyte and a half"),
    ],
)  # fmt: skip
def test_a_template_costs_what_it_is_long(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text)
    began = time.process_time()
    told = problems(tmp_path)
    list(pasted(json.loads(text)))
    assert time.process_time() - began < 5
    assert any(said in one for one in told), told[:3]
    assert sum(map(len, told)) < 100_000


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param(KIND + "metadata: [1]\nspec: {}\n", "metadata: is not a map with a `name`", id="metadata is a list"),
        pytest.param(KIND + "metadata: x\nspec: {}\n", "metadata: is not a map with a `name`", id="metadata is a text"),
        pytest.param(KIND + "metadata: {name: [good]}\nspec: {}\n", "metadata: is not a map with a `name`", id="a name is a list"),
        pytest.param(KIND + "metadata: {name: t}\nspec: [1]\n", "spec: must be a mapping", id="spec is a list"),
        pytest.param(KIND + "metadata: {name: t}\nspec: {entrypoint: m, templates: [null]}\n", "spec.templates[0]: must be a mapping", id="a template is null"),
        pytest.param(KIND + "metadata: {name: t, x: 2024-99-99}\nspec: {}\n", "spec.templates: is needed", id="an impossible date"),
        pytest.param(KIND + "metadata: {name: t, self: &s [*s]}\n", "line 2: the anchor 's' contains itself", id="a list that contains itself"),
        pytest.param(KIND + "metadata: &m {name: t, self: *m}\n", "line 2: the anchor 'm' contains itself", id="a map that contains itself"),
        pytest.param(KIND + "metadata: {name: *nobody}\n", "line 2: there is no anchor 'nobody'", id="an alias of nothing"),
        pytest.param(KIND + "a: !!python/object/apply:os.system ['true']\n", "line 2: the tag tag:yaml.org,2002:python/object/apply:os.system is not supported", id="a tag that runs code"),
        pytest.param(KIND + KIND, "line 2: the key 'kind' is written twice here", id="a key twice"),
        pytest.param(KIND + "? [a, b]\n: 1\n", "line 2: a key must be a text", id="a key that is a list"),
        pytest.param(KIND + "a: " + "[" * 3000 + "]" * 3000, "nested deeper than 64 levels", id="3,000 brackets"),
        pytest.param(KIND + "a: " + "[" * 200_000, "nested deeper than 64 levels", id="200,000 brackets that nobody closes"),
        pytest.param(KIND + LAUGH, "more than 100000 values", id="a billion laughs"),
        pytest.param("%TAG !a! b\n" * 100_000 + "---\na: 1\n", "more than 16 directives", id="100,000 directives"),
        pytest.param(KIND + "a: [" + "1," * 200_000 + "]", "more than 100000 values", id="200,000 values"),
        pytest.param(KIND + "a: " + "x" * 5_000_000, "it is larger than 4 MiB", id="5 MB"),
        pytest.param(KIND + "a: \xff", "it is not UTF-8", id="no UTF-8"),
        pytest.param(KIND + "a: b\0", "cannot be read: ", id="NUL"),
        pytest.param(KIND + "a: [", "cannot be read: while parsing", id="no YAML"),
        pytest.param(KIND + "<<: 5\n", "line 1: `<<` takes a map", id="a merge of a number"),
    ],
)  # fmt: skip
def test_an_odd_file_is_told_soon_and_hides_no_other(tmp_path: Path, text: str, said: str) -> None:
    (tmp_path / "a.yaml").write_text(text, encoding="latin-1")
    (tmp_path / "good.yaml").write_text(GOOD)
    began = time.process_time()
    told = problems(tmp_path)
    assert find(tmp_path, "good", "ml", cluster=False) is not None
    assert find(tmp_path, "none", "ml", cluster=False) is None
    assert time.process_time() - began < 5
    assert any(said in one for one in told)
    assert {one.split(": ")[0] for one in told} == {str(tmp_path / "a.yaml")}
    assert max(map(len, told)) < 1000


def test_what_is_no_file_is_told_and_hides_no_other(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.yaml")
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    (tmp_path / "gone.yaml").symlink_to("nowhere")
    (tmp_path / "zero.yaml").symlink_to("/dev/zero")
    (tmp_path / "again").symlink_to(tmp_path)
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "folder.yaml/good.yaml").write_text(GOOD)
    assert find(tmp_path, "good", "ml", cluster=False) is not None
    assert [one.removeprefix(f"{tmp_path}/").split(": cannot be read: ") for one in problems(tmp_path)] == [
        ["fifo.yaml", "it is a FIFO"],
        ["gone.yaml", "No such file or directory"],
        ["loop.yaml", "it is a link that leads to itself"],
        ["zero.yaml", "it is a device"],
    ]


def test_of_a_folder_without_end_the_first_files_are_read(tmp_path: Path) -> None:
    deep = tmp_path
    for _ in range(100):
        deep /= "d"
        deep.mkdir()
    (deep / "good.yaml").write_text(GOOD)
    for i in range(MOST_FILES + 1):
        (tmp_path / f"{i}.yaml").touch()
    assert find(tmp_path, "good", "ml", cluster=False) is None
    assert problems(tmp_path) == [f"{tmp_path}: more than {MOST_FILES} files: the others are not read"]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        pytest.param("a: &x {b: 1}\nc: *x\n", {"a": {"b": 1}, "c": {"b": 1}}, id="an alias"),
        pytest.param("x: &x {a: 1, b: 2}\ny: {<<: *x, b: 3}\n", {"x": {"a": 1, "b": 2}, "y": {"a": 1, "b": 3}}, id="a merge"),
        pytest.param("y: {b: 3, <<: [{a: 1}, {a: 2, c: 4}]}", {"y": {"a": 1, "b": 3, "c": 4}}, id="a merge of several: the first wins"),
        pytest.param("[1, -2, 0x1F, 0o17, 017, 09, 1.5, 1e3, .5]", [1, -2, 31, 15, 15, 9, 1.5, 1000.0, 0.5], id="numbers"),
        pytest.param("[true, False, null, ~, yes, no]", [True, False, None, None, "yes", "no"], id="words"),
        pytest.param("[2024-01-02, 2024-99-99, 1:30, .nan]", ["2024-01-02", "2024-99-99", "1:30", ".nan"], id="texts"),
        pytest.param("['1', \"true\", !!str 1]", ["1", "true", "1"], id="quoted"),
        pytest.param("{1: a, true: b, null: c}", {"1": "a", "true": "b", "null": "c"}, id="keys become texts"),
        pytest.param("a: |\n  x\n  y\n", {"a": "x\ny\n"}, id="a block"),
        pytest.param("9" * 400, int("9" * 400), id="400 digits"),
        pytest.param("9" * 5000, "9" * 5000, id="5,000 digits"),
    ],
)  # fmt: skip
def test_what_manifests_hold_is_read_as_kubernetes_does(text: str, value: Any) -> None:
    assert read_all(text) == [value]


def test_several_documents_and_none() -> None:
    assert read_all("a: 1\n---\nb: 2\n") == [{"a": 1}, {"b": 2}]
    assert read_all("") == []
    with pytest.raises(UnreadableYamlError, match="no anchor"):
        read_all("a: &x 1\n---\nb: *x\n")


@pytest.mark.parametrize(
    "arguments", ["[x]", "{parameters: [x]}", "{parameters: [{name: [x]}]}", "{parameters: [{name: x, enum: 5}]}"]
)
def test_a_template_whose_parameters_cannot_be_read_is_refused(tmp_path: Path, arguments: str) -> None:
    (tmp_path / "t.yaml").write_text(GOOD.replace("{entrypoint", f"{{arguments: {arguments}, entrypoint"))
    found = find(tmp_path, "good", "ml", cluster=False)
    assert found is not None
    with pytest.raises(Refused, match=r"template good: spec\.arguments"):
        describe("good", found)


@pytest.mark.parametrize("odd", [None, 5, "x", [1], ["x"], [None], {"a": 1}, [[1]], [{}], [{"name": 1}]])
@pytest.mark.parametrize(
    "at",
    [
        lambda odd: {"spec": odd},
        lambda odd: {"spec": {"templates": odd}},
        lambda odd: {"spec": {"templates": [{"script": odd, "container": odd, "sidecars": odd}]}},
        lambda odd: {"spec": {"templates": [{"container": {"command": odd, "args": odd}}]}},
        lambda odd: {"spec": {"templates": [{"name": odd, "script": {"source": odd}}]}},
    ],
)
def test_where_parameters_are_pasted_is_looked_for_in_anything(at: Any, odd: Any) -> None:
    assert list(pasted(at(odd))) == []
